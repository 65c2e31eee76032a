// Least squares whose residuals depend on a small neighbourhood each: the linear system, and its solution.
//
//     sum over terms and pixels p of weight(p) rho(residuals(p)),  residual(p) = value(p) + sum of taps c(p) x_k(p + offset)
//
// for K planes of unknowns x_k on a grid of up to three dimensions. One step reweights: with half the weights w of the
// penalties at a start, the increment d minimises the sum of w (residual(start) + C d)^2, so that A d = b with
// A = sum C^T w C and b = -sum C^T w residual(start). Row p of A holds the unknowns of a neighbourhood of p: it is kept as
// planes, one for each offset, and those that two unknowns share are kept once.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/memory.hpp"
#include "system/penalty.hpp"

namespace variflow::stencil {

// More planes of unknowns than this are refused.
constexpr int most_unknowns = 16;

// One pointer for each unknown.
using Pointers = std::array<float*, most_unknowns>;
using ConstPointers = std::array<const float*, most_unknowns>;

// The pixels of a picture have the depth 1. A row is all pixels of one z and y.
struct Grid {
    int64_t depth, height, width;

    int64_t rows() const { return depth * height; }
    int64_t size() const { return rows() * width; }
    bool operator==(const Grid&) const = default;
};

struct Offset {
    int z = 0, y = 0, x = 0;

    auto operator<=>(const Offset&) const = default;
    Offset operator-() const { return {-z, -y, -x}; }
    Offset operator-(const Offset& other) const { return {z - other.z, y - other.y, x - other.x}; }
};

// The row that lies an offset from another, or -1 if it is outside.
inline int64_t moved(const Grid& grid, int64_t row, const Offset& offset) {
    const int64_t z = row / grid.height + offset.z, y = row % grid.height + offset.y;
    return z >= 0 && z < grid.depth && y >= 0 && y < grid.height ? z * grid.height + y : -1;
}

// What a residual depends on: an unknown of the pixel at an offset, times a factor and, unless null, a plane.
struct Tap {
    int unknown;
    Offset offset;
    float factor;
    const float* plane;
};

// The sum of its taps and a value; or, if that is the value at the start, of it and what its taps change since then.
struct Residual {
    std::vector<Tap> taps;
    const float* value;  // null for 0
    bool at_start;
};

// Residuals that are penalised: jointly, by the sum of their squares, or each on its own.
struct Term {
    std::vector<Residual> residuals;
    bool jointly;
    Penalty penalty;
    float weight;
    const float* weights;  // of the pixels, or null for 1; 0 where a residual reaches beyond the grid
};

// What is to be solved around a start. Of the first two unknowns there may be a motion tensor, 5 planes. A triangle is
// added to the matrix of each pixel's first two unknowns.
struct Problem {
    Grid grid;
    int unknowns;
    std::vector<Term> terms;
    const float* tensor;
    std::array<float, 3> damping;
    const float* start;  // (K, size)
};

// Where a symmetric matrix is not 0: it couples unknown `first` of a pixel with unknown `second` of the pixel at an offset.
struct Entry {
    int first, second;
    Offset offset;
};

// A symmetric matrix that is known by its products with patterns. Pattern c is 1 in unknown k of the pixel (z, y, x) where
// x + by_y y + by_z z + by_unknown k is c modulo the number of patterns, and 0 elsewhere. The entries of one row meet
// different patterns. They are given for first < second, and for first = second at offsets of at least 0.
struct Probed {
    Grid grid;
    int unknowns, patterns;
    int by_y, by_z, by_unknown;
    std::vector<Entry> entries;
    const float* products;  // (patterns, unknowns, size)
};

// Planes that live as long as this. Before the first and behind the last there are a few zeros: a row may be read from a
// few columns to the left or to the right, where the operator has zeros.
class Planes {
public:
    static constexpr int64_t margin = 128;

    float* zeros(int64_t count);

    // The same with any content.
    float* take(int64_t count);

private:
    std::vector<Workspace> kept_;
};

// The coupling of one pair of unknowns k <= l: a plane for each offset. That of an offset o holds, at p, how x_k(p) and
// x_l(p + o) are coupled, and 0 where p + o is outside. If k = l, -o has the plane of o moved, and only offsets of at least
// 0 are kept. The first is the offset 0.
struct Stencil {
    bool symmetric;
    std::vector<Offset> offsets;
    std::vector<const float*> planes;
};

struct Coupling {
    int first, second, stencil;
};

// Where the upper triangle of a symmetric K x K matrix keeps an entry, i <= j.
inline int triangle(int i, int j, int size) { return i * size - i * (i - 1) / 2 + j - i; }
inline int triangle_size(int size) { return size * (size + 1) / 2; }

struct Operator {
    Grid grid;
    int unknowns;
    std::vector<Stencil> stencils;
    std::vector<Coupling> couplings;
    const float* zero_row;
    float* pointwise;  // the blocks of what couples the unknowns of one pixel alone, (triangle_size, size)
    float* blocks;  // those and the stencils' offsets 0
};

// stencil/assembly.cpp: the operator of a problem and its right side b, K planes; one without any couplings; the energy at
// K planes of unknowns, without that of the tensor; and the first three planes of a motion tensor in the mean over pixels.
Operator assemble(const Problem& problem, Planes& memory, float* right_side);
Operator make_operator(const Grid& grid, int unknowns, Planes& memory);
double energy(const Problem& problem, const float* unknowns);
std::array<double, 3> measure_tensor(const Grid& grid, const float* tensor);

// stencil/probing.cpp: the operator that products show, with a triangle `damping` added to the blocks of each pixel; and the
// triangle of the curvature along constant changes of the unknowns, in the mean over pixels.
Operator read_operator(const Probed& probed, const std::vector<double>& damping, Planes& memory);
std::vector<double> measure_constants(const Probed& probed);

// stencil/operator.cpp: row `row` of the blocks, which must be filled in. Also the operator of a grid with half as many
// pixels along each axis that has more than two: P^T A P with linear interpolation P, but what couples the unknowns of one
// pixel alone is summed up at one pixel.
void sum_blocks(Operator& a, int64_t row);
Operator coarsen(const Operator& a, Planes& memory);

// stencil/solver.cpp: the coarser grids of an operator. They may serve for further ones near it, of the same grid, until
// those take more iterations than the first did.
class Level;
class CoarserGrids {
public:
    CoarserGrids();
    ~CoarserGrids();

    // Make them unless there are some, and return whether they were made.
    bool make_for(const Operator& finest);
    void clear();

    // Keep in mind how many iterations a solution took, and drop the grids if these have grown.
    void judge(int iterations, bool fresh);

    size_t count() const;
    const Level& level(size_t number) const;

private:
    struct Content;
    std::unique_ptr<Content> content_;
};

// The unknowns after one step, by conjugate gradients preconditioned with a multigrid cycle, which end once the residual
// is `tolerance` times what it was.
struct Report {
    int iterations;
    double residual;  // relative to that of the start
    bool positive;  // whether all iterations found the operator to be so
};
Report solve(const Problem& problem, double tolerance, int most, CoarserGrids& coarser, float* out);

// The same for the solution of A d = -gradient with a damped A. It is 0 if A is not positive along the first direction.
Report solve(const Probed& probed, const float* gradient, const std::vector<double>& damping, double tolerance,
             int most, CoarserGrids& coarser, float* out);

}  // namespace variflow::stencil
