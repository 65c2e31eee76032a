// The Python module: the number of threads, and the groups of bindings.
#include <cstdlib>
#include <string>

#include "bindings.hpp"
#include "threads.hpp"

namespace {

using namespace variflow::bindings;

constexpr int most_threads = 4096;

void set_threads(int count) {
    if (count < 1 || count > most_threads) {
        refuse_value("`n` must be from 1 to " + std::to_string(most_threads) + ", not " + std::to_string(count));
    }
    variflow::set_threads(count);
}

void set_default_threads() {
    variflow::set_threads(variflow::usable_cpus());
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
    module.def("get_threads", &variflow::get_threads, "The number of threads that the native kernels use.");
    module.def(
        "set_threads", &set_threads, "n"_a,
        "Let the native kernels use `n` threads; results do not depend on it.\n\n"
        "The default is the environment variable VARIFLOW_THREADS, else the number of CPUs this process may use.");
    add_images(module);
    add_system(module);
    add_filters(module);
    add_local(module);
    add_primal_dual(module);
    add_matching(module);
}
