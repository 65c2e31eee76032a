// The Python module: the number of threads, and the groups of bindings.
#include <cstdlib>
#include <string>

#include "bindings.hpp"
#include "threads.hpp"

namespace {

using namespace variflow::bindings;

using variflow::most_threads;

void set_threads(int count) {
    if (count < 1 || count > most_threads) {
        refuse_value("`n` must be from 1 to " + std::to_string(most_threads) + ", not " + std::to_string(count));
    }
    variflow::set_threads(count);
}

void limit_threads(int count, bool within_affinity) {
    if (count < 1) refuse_value("`n` must be at least 1, not " + std::to_string(count));
    variflow::limit_threads(count, within_affinity);
}

void set_default_threads() {
    const char* text = std::getenv("VARIFLOW_THREADS");
    if (!text || !*text) return;
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (*end == '\0' && count >= 1 && count <= most_threads) {
        variflow::set_threads(static_cast<int>(count));
        return;
    }
    const std::string message = "the environment variable VARIFLOW_THREADS must be a number of threads from 1 to " +
                                std::to_string(most_threads) + ", not '" + text + "'; using " +
                                std::to_string(variflow::get_threads());
    if (PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) != 0) throw nb::python_error();
}

}  // namespace

NB_MODULE(_core, module) {
    module.doc() = "Native kernels of variflow: float32 planes (channels, height, width) in, new planes out.";
    set_default_threads();
    module.def("get_threads", &variflow::get_threads,
               "How many threads the native kernels use: as many as `set_threads` asked for, but no more than there are\n"
               "CPUs that this process may use now.");
    module.def(
        "set_threads", &set_threads, "n"_a,
        "Let the native kernels use `n` threads, or as many as this process may use CPUs, if that is less: the CPUs it\n"
        "is bound to, and the quota of its cgroup. Results do not depend on it.\n\n"
        "The default is the environment variable VARIFLOW_THREADS, else all. `get_threads` says how many are used.");
    module.def("limit_threads", &limit_threads, "n"_a, nb::kw_only(), "within_affinity"_a = true,
               "Let no more than `n` threads run, however many are asked for; nor, unless told otherwise (as tests do),\n"
               "more than there are CPUs that the calling thread is bound to.");
    add_images(module);
    add_system(module);
    add_filters(module);
    add_local(module);
    add_primal_dual(module);
    add_matching(module);
}
