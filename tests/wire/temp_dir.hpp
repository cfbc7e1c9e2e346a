// A fresh folder for one test, removed with it. Short, so that sockets fit into it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace muster::test {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/mtXXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace muster::test
