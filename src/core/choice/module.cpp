// The Python module `_core` where the core is built once per level of instructions: it imports the one for this processor
// in its own place. It is compiled for any processor, and shares no code with the others.
#include <Python.h>

#include <cstdint>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace {

struct Registers {
    uint32_t eax, ebx, ecx, edx;
};

#if defined(_MSC_VER) && !defined(__clang__)
// What the processor says of itself under a number; zeros where it does not know the number.
Registers cpuid(uint32_t number) {
    int found[4];
    __cpuid(found, static_cast<int>(number & 0x80000000u));
    if (static_cast<uint32_t>(found[0]) < number) return {};
    __cpuidex(found, static_cast<int>(number), 0);
    return {static_cast<uint32_t>(found[0]), static_cast<uint32_t>(found[1]), static_cast<uint32_t>(found[2]),
            static_cast<uint32_t>(found[3])};
}

// Which registers the system saves when it changes threads, a bit each.
uint64_t saved_registers() { return _xgetbv(0); }
#else
Registers cpuid(uint32_t number) {
    Registers found{};
    __get_cpuid_count(number, 0, &found.eax, &found.ebx, &found.ecx, &found.edx);
    return found;
}

uint64_t saved_registers() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t{high} << 32 | low;
}
#endif

template <typename... Bit>
constexpr uint32_t bits(Bit... bit) {
    return ((uint32_t{1} << bit) | ...);
}

bool has_all(uint64_t found, uint64_t wanted) { return (found & wanted) == wanted; }

// The module of the best level whose instructions the processor has and whose registers the system saves.
const char* find_core() {
    const Registers basic = cpuid(1), extended = cpuid(7), added = cpuid(0x80000001u);
    const uint32_t fma = 12, movbe = 22, xgetbv = 27, avx = 28, f16c = 29;  // of basic.ecx
    const uint32_t bmi1 = 3, avx2 = 5, bmi2 = 8, f = 16, dq = 17, cd = 28, bw = 30, vl = 31;  // of extended.ebx
    const uint32_t lzcnt = 5;  // of added.ecx
    if (!has_all(basic.ecx, bits(fma, movbe, xgetbv, avx, f16c)) || !has_all(extended.ebx, bits(bmi1, avx2, bmi2)) ||
        !has_all(added.ecx, bits(lzcnt))) {
        return "variflow._core_v1";
    }
    const uint64_t saved = saved_registers(), of_avx2 = 0x06, of_avx512 = 0xe6;
    if (!has_all(saved, of_avx2)) return "variflow._core_v1";
    return has_all(extended.ebx, bits(f, dq, cd, bw, vl)) && has_all(saved, of_avx512) ? "variflow._core_v4"
                                                                                       : "variflow._core_v3";
}

// A module may put another in its place while it is imported.
int put_in_place(PyObject*) {
    PyObject* const core = PyImport_ImportModule(find_core());
    if (!core) return -1;
    const int failed = PyDict_SetItemString(PyImport_GetModuleDict(), "variflow._core", core);
    Py_DECREF(core);
    return failed;
}

}  // namespace

PyMODINIT_FUNC PyInit__core() {
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void*>(put_in_place)}, {0, nullptr}};
    static PyModuleDef definition{
        PyModuleDef_HEAD_INIT, "_core", nullptr, 0, nullptr, slots, nullptr, nullptr, nullptr};
    return PyModuleDef_Init(&definition);
}
