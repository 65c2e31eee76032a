// The Python module: the number of threads, and the groups of bindings.
#include <cstdlib>
#include <string>

#include "base/memory.hpp"
#include "base/threads.hpp"
#include "bind/bindings.hpp"

namespace {

using namespace variflow::bindings;

using variflow::most_threads;

void set_threads(int count) {
    from_to("n", count, 1, static_cast<int>(most_threads));
    variflow::set_threads(count);
}

void limit_threads(int count, bool within_affinity) {
    at_least("n", count, 1);
    variflow::limit_threads(count, within_affinity);
}

// Take the number that an environment variable holds, or warn that it holds none from `least` to `most`.
template <typename Take, typename Else>
void from_environment(const char* name, const char* what, long long least, long long most, Take&& take,
                      Else&& instead) {
    const char* text = std::getenv(name);
    if (!text || !*text) return;
    char* end = nullptr;
    const long long count = std::strtoll(text, &end, 10);
    if (*end == '\0' && count >= least && count <= most) {
        take(count);
        return;
    }
    const std::string message = std::string("the environment variable ") + name + " is '" + text + "', wanted " + what +
                                " from " + std::to_string(least) + " to " + std::to_string(most) + "; using " +
                                instead();
    if (PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) != 0) throw nb::python_error();
}

void set_defaults() {
    from_environment(
        "VARIFLOW_THREADS", "a number of threads", 1, most_threads,
        [](long long count) { variflow::set_threads(static_cast<int>(count)); },
        [] { return std::to_string(variflow::get_threads()); });
    constexpr long long most_memory = 1 << 20;
    from_environment(
        "VARIFLOW_MEMORY", "a number of MiB", 0, most_memory,
        [](long long count) { variflow::keep_at_most(static_cast<size_t>(count) << 20); },
        [] { return std::string("the default"); });
}

}  // namespace

NB_MODULE(VARIFLOW_MODULE, module) {
    module.doc() = "Native kernels of variflow: float32 planes (channels, height, width) in, new planes out.";
    set_defaults();
    module.def(
        "get_threads", &variflow::get_threads,
        "How many threads the native kernels use: as many as `set_threads` asked for, but no more than there are\n"
        "CPUs that this process may use now.");
    module.def(
        "set_threads", &set_threads, "n"_a,
        "Let the native kernels use `n` threads, or as many as this process may use CPUs, if that is less: the CPUs "
        "it\n"
        "is bound to, and the quota of its cgroup. Results do not depend on it.\n\n"
        "The default is the environment variable VARIFLOW_THREADS, else all. `get_threads` says how many are used.");
    module.def(
        "limit_threads", &limit_threads, "n"_a, nb::kw_only(), "within_affinity"_a = true,
        "Let no more than `n` threads run, however many are asked for; nor, unless told otherwise (as tests do),\n"
        "more than there are CPUs that the calling thread is bound to.");
    module.def("release_memory", &variflow::release_kept,
               "Give back to the system the memory that is kept for further planes; return how many bytes that was.");
    add_images(module);
    add_between(module);
    add_step(module);
    add_stencil(module);
    add_system(module);
    add_filters(module);
    add_local(module);
    add_primal_dual(module);
    add_matching(module);
}
