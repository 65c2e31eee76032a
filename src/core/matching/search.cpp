// The search for the most similar descriptor: exhaustive where the frames are small, else by propagation and random
// steps (Barnes, Shechtman, Finkelstein and Goldman, PatchMatch, 2009; Hu, Song and Li, Coarse-to-fine PatchMatch,
// 2016).
//
// A sweep visits the seeds in order and offers to each what its neighbours before it have found. Blocks of rows are
// swept independently, beyond them they see what the last sweep left; the random steps are a function of the seed's
// place and the sweep. So the result does not depend on the threads.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "base/platform.hpp"
#include "base/threads.hpp"
#include "matching/matching.hpp"

namespace variflow {
namespace {

constexpr int32_t unmatched = std::numeric_limits<int32_t>::max();
constexpr int64_t rows_in_block = 16;

// Neighbouring seeds that differ by more than this, in pixels, differ by this.
constexpr int32_t farthest_alike = 6;

struct Seed {
    int32_t dx, dy, cost;
};

// A well-mixed number of 32 bits (the finaliser of splitmix64).
VARIFLOW_INLINE uint32_t mix(uint64_t counter) {
    counter += 0x9e3779b97f4a7c15u;
    counter = (counter ^ (counter >> 30)) * 0xbf58476d1ce4e5b9u;
    counter = (counter ^ (counter >> 27)) * 0x94d049bb133111ebu;
    return static_cast<uint32_t>((counter ^ (counter >> 31)) >> 16);
}

VARIFLOW_INLINE int32_t difference(const uint8_t* VARIFLOW_RESTRICT a, const uint8_t* VARIFLOW_RESTRICT b) {
    int32_t sum = 0;
    for (int k = 0; k < static_cast<int>(descriptor_bytes); ++k) sum += std::abs(a[k] - b[k]);  // psadbw
    return sum;
}

// The seeds of the first frame and what they are compared with.
struct Comparison {
    Described first, second;
    SeedAxis columns, rows;

    VARIFLOW_INLINE const uint8_t* descriptor(int64_t i, int64_t j) const {
        return first.descriptors + (rows.position(j) * first.width + columns.position(i)) * descriptor_bytes;
    }
    VARIFLOW_INLINE bool usable(int64_t i, int64_t j) const {
        return first.valid[rows.position(j) * first.width + columns.position(i)] != 0.0f;
    }
    VARIFLOW_INLINE int32_t cost(const uint8_t* descriptor, int64_t i, int64_t j, int32_t dx, int32_t dy) const {
        const int64_t x = columns.position(i) + dx, y = rows.position(j) + dy;
        if (x < 0 || y < 0 || x >= second.width || y >= second.height) return unmatched;
        const int64_t pixel = y * second.width + x;
        if (second.valid[pixel] == 0.0f) return unmatched;
        return difference(descriptor, second.descriptors + pixel * descriptor_bytes);
    }

    // What the cost of a seed's displacement will look at, if there is such a seed.
    VARIFLOW_INLINE void expect(int64_t i, int64_t j, int32_t dx, int32_t dy) const {
        if (i < 0 || i >= columns.count) return;
        const int64_t x = columns.position(i) + dx, y = rows.position(j) + dy;
        if (x < 0 || y < 0 || x >= second.width || y >= second.height) return;
        prefetch(second.descriptors + (y * second.width + x) * descriptor_bytes);
        prefetch(second.valid + y * second.width + x);
    }
};

// The reading of descriptors is begun so many seeds ahead.
constexpr int64_t ahead = 4;

// Compare all displacements; between equals the shorter one wins.
VARIFLOW_CLONES
void exhaust(const Comparison& frames, SearchRule rule, int64_t begin, int64_t end, Seed* seeds) {
    const auto reach = static_cast<int32_t>(rule.reach);
    for (int64_t j = begin; j < end; ++j) {
        for (int64_t i = 0; i < frames.columns.count; ++i) {
            Seed best{0, 0, unmatched};
            if (frames.usable(i, j)) {
                const uint8_t* const descriptor = frames.descriptor(i, j);
                for (int32_t dy = -reach; dy <= reach; ++dy) {
                    for (int32_t dx = -reach; dx <= reach; ++dx) {
                        int32_t cost = frames.cost(descriptor, i, j, dx, dy);
                        if (dx == 0 && dy == 0 && cost != unmatched) cost -= static_cast<int32_t>(rule.favour);
                        const bool shorter = dx * dx + dy * dy < best.dx * best.dx + best.dy * best.dy;
                        if (cost < best.cost || (cost == best.cost && shorter)) best = {dx, dy, cost};
                    }
                }
            }
            seeds[j * frames.columns.count + i] = best;
        }
    }
}

// Take the start, as long as it stays in the frame, else zero.
VARIFLOW_CLONES
void begin_at(const Comparison& frames, const float* start, int64_t begin, int64_t end, Seed* seeds) {
    const int64_t count = frames.columns.count * frames.rows.count;
    constexpr float farthest = 1 << 20;
    for (int64_t j = begin; j < end; ++j) {
        for (int64_t i = 0; i < frames.columns.count; ++i) {
            const int64_t k = j * frames.columns.count + i;
            Seed best{0, 0, unmatched};
            if (frames.usable(i, j)) {
                const float u = start[k], v = start[count + k];
                const uint8_t* const descriptor = frames.descriptor(i, j);
                best.cost = frames.cost(descriptor, i, j, 0, 0);
                if (std::fabs(u) < farthest && std::fabs(v) < farthest) {
                    const auto dx = static_cast<int32_t>(std::lround(u)), dy = static_cast<int32_t>(std::lround(v));
                    const int32_t cost = frames.cost(descriptor, i, j, dx, dy);
                    if (cost != unmatched) best = {dx, dy, cost};
                }
            }
            seeds[k] = best;
        }
    }
}

// The displacements of the eight seeds around one; those that are missing are far from any.
struct Surroundings {
    int32_t dx[8], dy[8];

    VARIFLOW_INLINE Surroundings(const Comparison& frames, const Seed* above, const Seed* row, const Seed* below,
                                 int64_t i) {
        const bool left = i > 0, right = i + 1 < frames.columns.count;
        put(0, above && left ? above + i - 1 : nullptr);
        put(1, above ? above + i : nullptr);
        put(2, above && right ? above + i + 1 : nullptr);
        put(3, left ? row + i - 1 : nullptr);
        put(4, right ? row + i + 1 : nullptr);
        put(5, below && left ? below + i - 1 : nullptr);
        put(6, below ? below + i : nullptr);
        put(7, below && right ? below + i + 1 : nullptr);
    }
    VARIFLOW_INLINE void put(int k, const Seed* seed) {
        constexpr int32_t far = 1 << 24;
        const bool known = seed && seed->cost != unmatched;
        dx[k] = known ? seed->dx : far, dy[k] = known ? seed->dy : far;
    }
    VARIFLOW_INLINE int32_t deviation(int32_t x, int32_t y) const {
        int32_t sum = 0;
        for (int k = 0; k < 8; ++k) {
            const int32_t distance = std::abs(x - dx[k]) + std::abs(y - dy[k]);
            sum += distance < farthest_alike ? distance : farthest_alike;
        }
        return sum;
    }
};

// One sweep over a block of rows, downwards and to the right, or the other way round.
VARIFLOW_CLONES
void sweep(const Comparison& frames, SearchRule rule, int64_t begin, int64_t end, int64_t number, const Seed* before,
           Seed* seeds) {
    const int64_t across = frames.columns.count, down = frames.rows.count;
    const int64_t direction = number % 2 == 0 ? 1 : -1;
    const auto smoothness = static_cast<int32_t>(rule.smoothness);
    for (int64_t row = 0; row < end - begin; ++row) {
        const int64_t j = direction > 0 ? begin + row : end - 1 - row;
        const Seed* const above = j == 0 ? nullptr : (j == begin ? before : seeds) + (j - 1) * across;
        const Seed* const below = j + 1 == down ? nullptr : (j + 1 == end ? before : seeds) + (j + 1) * across;
        const Seed* const visited = direction > 0 ? above : below;
        for (int64_t column = 0; column < across; ++column) {
            const int64_t i = direction > 0 ? column : across - 1 - column;
            const int64_t later = i + ahead * direction;
            if (visited && later >= 0 && later < across) {
                frames.expect(later, j, visited[later].dx, visited[later].dy);
                prefetch(frames.descriptor(later, j));
            }
            if (!frames.usable(i, j)) continue;
            const uint8_t* const descriptor = frames.descriptor(i, j);
            const Surroundings around(frames, above, seeds + j * across, below, i);
            Seed best = seeds[j * across + i];
            int32_t least = best.cost;
            if (least != unmatched) least += smoothness * around.deviation(best.dx, best.dy);
            auto offer = [&](int32_t dx, int32_t dy) VARIFLOW_INLINE_LAMBDA {
                if (dx == best.dx && dy == best.dy) return;
                const int32_t rough = smoothness * around.deviation(dx, dy);
                if (rough >= least) return;
                const int32_t cost = frames.cost(descriptor, i, j, dx, dy);
                if (cost == unmatched || cost + rough >= least) return;
                best = {dx, dy, cost};
                least = cost + rough;
            };
            // Neighbours often have found the same.
            const Seed* taken[4];
            int count = 0;
            auto take = [&](const Seed* neighbour) VARIFLOW_INLINE_LAMBDA {
                for (int k = 0; k < count; ++k) {
                    if (taken[k]->dx == neighbour->dx && taken[k]->dy == neighbour->dy) return;
                }
                taken[count++] = neighbour;
                offer(neighbour->dx, neighbour->dy);
            };
            if (column > 0) take(seeds + j * across + i - direction);
            if (visited) {
                take(visited + i);
                if (column > 0) take(visited + i - direction);
                if (column + 1 < across) take(visited + i + direction);
            }
            for (int64_t reach = rule.reach, trial = 0; reach > 0; reach /= 2, ++trial) {
                const uint32_t random = mix(static_cast<uint64_t>(((number * 64 + trial) * down + j) * across + i));
                const auto side = static_cast<uint32_t>(2 * reach + 1);
                const auto dx = static_cast<int32_t>((random & 0xffffu) % side) - static_cast<int32_t>(reach);
                const auto dy = static_cast<int32_t>((random >> 16) % side) - static_cast<int32_t>(reach);
                offer(best.dx + dx, best.dy + dy);
            }
            seeds[j * across + i] = best;
        }
    }
}

// Where between -1/2 and 1/2 the least of a V through three values lies, the middle one being least.
float vertex(int32_t before, int32_t at, int32_t after) {
    if (at == 0 || before == unmatched || after == unmatched || before < at || after < at) return 0.0f;
    const int32_t steeper = std::max(before, after) - at;
    return steeper == 0 ? 0.0f : 0.5f * static_cast<float>(before - after) / static_cast<float>(steeper);
}

constexpr int32_t ring[8][2] = {{6, 0}, {4, 4}, {0, 6}, {-4, 4}, {-6, 0}, {-4, -4}, {0, -6}, {4, -4}};

// The least difference on a ring about a match: what it would cost to miss it by that much.
VARIFLOW_INLINE int32_t least_around(const Comparison& frames, const uint8_t* descriptor, int64_t i, int64_t j,
                                     const Seed& seed) {
    int32_t least = unmatched;
    for (const auto& offset : ring) {
        const int32_t cost = frames.cost(descriptor, i, j, seed.dx + offset[0], seed.dy + offset[1]);
        least = cost < least ? cost : least;
    }
    return least;
}

VARIFLOW_CLONES
void write(const Comparison& frames, int64_t begin, int64_t end, const Seed* seeds, float* out) {
    constexpr float missing = std::numeric_limits<float>::quiet_NaN();
    const int64_t across = frames.columns.count, count = across * frames.rows.count;
    for (int64_t j = begin; j < end; ++j) {
        for (int64_t i = 0; i < across; ++i) {
            if (i + ahead < across) {
                const Seed later = seeds[j * across + i + ahead];
                for (const auto& offset : ring) frames.expect(i + ahead, j, later.dx + offset[0], later.dy + offset[1]);
                prefetch(frames.descriptor(i + ahead, j));
            }
            const Seed seed = seeds[j * across + i];
            float u = missing, v = missing, ambiguity = missing;
            if (seed.cost != unmatched) {
                const uint8_t* const descriptor = frames.descriptor(i, j);
                auto beside = [&](int32_t dx, int32_t dy) VARIFLOW_INLINE_LAMBDA {
                    return frames.cost(descriptor, i, j, seed.dx + dx, seed.dy + dy);
                };
                u = static_cast<float>(seed.dx) + vertex(beside(-1, 0), seed.cost, beside(1, 0));
                v = static_cast<float>(seed.dy) + vertex(beside(0, -1), seed.cost, beside(0, 1));
                const int32_t least = least_around(frames, descriptor, i, j, seed);
                ambiguity = seed.cost < least ? static_cast<float>(seed.cost) / static_cast<float>(least) : 1.0f;
            }
            const int64_t k = j * across + i;
            out[k] = u, out[count + k] = v, out[2 * count + k] = ambiguity;
        }
    }
}

}  // namespace

void search_matches(const Described& first, const Described& second, const float* start, SearchRule rule, float* out) {
    const Comparison frames{first, second, {first.width, rule.step}, {first.height, rule.step}};
    std::vector<Seed> seeds(static_cast<size_t>(frames.columns.count * frames.rows.count)), before;
    auto in_blocks = [&](auto&& body) { parallel_for(frames.rows.count, rows_in_block, body); };
    if (!start) {
        parallel_for(frames.rows.count, 1,
                     [&](int64_t begin, int64_t end) { exhaust(frames, rule, begin, end, seeds.data()); });
    } else {
        in_blocks([&](int64_t begin, int64_t end) { begin_at(frames, start, begin, end, seeds.data()); });
        for (int64_t number = 0; number < rule.sweeps; ++number) {
            before = seeds;
            in_blocks([&](int64_t begin, int64_t end) {
                sweep(frames, rule, begin, end, number, before.data(), seeds.data());
            });
        }
    }
    in_blocks([&](int64_t begin, int64_t end) { write(frames, begin, end, seeds.data(), out); });
}

}  // namespace variflow
