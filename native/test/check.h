// A test harness in one header: TEST(name) { CHECK(x); CHECK_EQ(a, b); } and CHECK_MAIN() at the
// end of the file. Every failed check prints file and line; the program's exit status is 1 if any
// failed.
#pragma once

#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace elanus::check {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Registrar {
  Registrar(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  ++failures();
}

template <typename A, typename B>
void equal(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << ": " << a << " != " << b;
  fail(file, line, out.str());
}

// Runs the cases whose name contains argv[1] (all without it).
inline int run_all(int argc, char** argv) {
  int passed = 0;
  int failed = 0;
  for (const Case& c : cases()) {
    if (argc > 1 && std::strstr(c.name, argv[1]) == nullptr) continue;
    const int before = failures();
    c.run();
    const bool ok = failures() == before;
    std::printf("%s %s\n", ok ? "ok  " : "FAIL", c.name);
    (ok ? passed : failed) += 1;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace elanus::check

#define TEST(name)                                                            \
  static void test_##name();                                                  \
  static const ::elanus::check::Registrar registrar_##name(#name, test_##name); \
  static void test_##name()
#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) ::elanus::check::fail(__FILE__, __LINE__, "failed: " #condition); \
  } while (false)
#define CHECK_EQ(a, b) ::elanus::check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_MAIN() \
  int main(int argc, char** argv) { return ::elanus::check::run_all(argc, argv); }
