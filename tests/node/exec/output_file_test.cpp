// Goal: a user reads through the node what the user may read, and nothing else of it. Method: as root, files, links
// and folders of others, read as nobody; threads beside it keep their rights.
#include "node/exec/output_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace muster;
using namespace muster::node;

namespace {

constexpr FileUser kNobody{65534, 65534};
constexpr Instant kNow = Instant::from_ns(1);

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-out-XXXXXX").string();
    path = ::mkdtemp(name.data());
    ::chmod(path.c_str(), 0755);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string put(const std::string& name, const std::string& text, mode_t mode) const {
    const std::string file = path + "/" + name;
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  std::string path;
};

Result<std::string> read_as(OutputReader& reader, const std::string& path, std::optional<FileUser> as,
                            std::uint64_t offset = 0, std::uint32_t bytes_max = 100) {
  return reader.read({.path = path, .offset = offset, .bytes_max = bytes_max, .as = as}, kNow);
}

}  // namespace

TEST_CASE("parts of an output file are read, what is no file gives nothing") {
  const Folder folder;
  OutputReader reader;
  const std::string file = folder.put("out", "0123456789", 0644);
  CHECK(read_as(reader, file, {}).value() == "0123456789");
  CHECK(read_as(reader, file, {}, 4, 3).value() == "456");
  CHECK(read_as(reader, file, {}, 10).value().empty());
  CHECK(read_as(reader, file, {}, ~0ULL).value().empty());
  CHECK(read_as(reader, "/dev/zero", {}).value().empty());
  CHECK(read_as(reader, folder.path + "/none", {}).error().code == Errc::not_found);
}

TEST_CASE("a link to what the user may not read is refused, whatever the node may read") {
  if (::geteuid() != 0) {
    WARN("needs root: not tested");
    return;
  }
  const Folder folder;
  OutputReader reader;
  const std::string secret = folder.put("secret", "root's", 0600);
  const std::string link = folder.path + "/muster-1.out";
  REQUIRE(::symlink(secret.c_str(), link.c_str()) == 0);
  std::filesystem::create_directory(folder.path + "/closed");
  folder.put("closed/open", "behind a closed door", 0644);
  ::chmod((folder.path + "/closed").c_str(), 0700);
  const std::string own = folder.put("own", "mine", 0600);
  REQUIRE(::chown(own.c_str(), kNobody.uid, 0) == 0);
  const std::string group = folder.put("group", "ours", 0040);
  REQUIRE(::chown(group.c_str(), 0, kNobody.gid) == 0);
  const std::string roots_group = folder.put("roots_group", "root's group's", 0040);

  // A thread beside it is root all the time.
  std::atomic<bool> stop{false};
  std::atomic<int> denied{0};
  std::thread beside([&] {
    OutputReader roots;
    while (!stop) {
      denied += read_as(roots, secret, {}) ? 0 : 1;
    }
  });
  for (int i = 0; i < 200; ++i) {
    for (const std::string& path : {secret, link, folder.path + "/closed/open", roots_group}) {
      const auto read = read_as(reader, path, kNobody);
      REQUIRE(!read);
      REQUIRE(read.error().code == Errc::permission);
      REQUIRE(read.error().text.find(path) != std::string::npos);
    }
    REQUIRE(read_as(reader, own, kNobody).value() == "mine");
    REQUIRE(read_as(reader, group, kNobody).value() == "ours");
    REQUIRE(read_as(reader, link, {}).value() == "root's");  // ourselves again
  }
  stop = true;
  beside.join();
  CHECK(denied == 0);
}
