// What the rules of the house look at: the tracked files as {path, text}, and how they report.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace muster::house {

struct SourceFile {
  std::string path;  // relative to the top level, with '/'
  std::string text;
};

struct Finding {
  std::string path;
  std::size_t line{};  // from 1; 0 = the whole file
  std::string what;
};
using Findings = std::vector<Finding>;
// A rule looks at one file and is pure.
using Rule = std::function<Findings(const SourceFile&)>;

struct Include {
  std::size_t line{};
  std::string target;
  bool angled{};
};

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

inline bool starts_with_any(std::string_view path, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return path.starts_with(p); });
}

inline bool is_cpp(std::string_view path) {
  return path.ends_with(".hpp") || path.ends_with(".cpp") || path.ends_with(".h") || path.ends_with(".c");
}

inline std::string file_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

inline std::vector<Include> includes_of(const SourceFile& file) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");
  std::vector<Include> includes;
  if (!is_cpp(file.path)) {
    return includes;
  }
  std::size_t number = 0;
  for (const std::string& line : lines_of(file.text)) {
    ++number;
    std::smatch match;
    if (line.find("include") != std::string::npos && std::regex_match(line, match, kInclude)) {
      includes.push_back(Include{number, match[2].str(), match[1].str() == "<"});
    }
  }
  return includes;
}

// The text without comments, lines kept, so that a rule about code is not broken by a sentence.
inline std::string without_comments(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  enum { code, line_comment, block_comment, string_literal, character } state = code;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (state == code) {
      if (c == '/' && next == '/') {
        state = line_comment;
      } else if (c == '/' && next == '*') {
        state = block_comment;
      } else {
        state = c == '"' ? string_literal : state;
        // 1'000 is a number, not a character.
        if (c == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0)) {
          state = character;
        }
        out += c;
        continue;
      }
    }
    if (state == string_literal || state == character) {
      out += c;
      if (c == '\\' && next != '\0') {
        out += next;
        ++i;
      } else if (c == (state == string_literal ? '"' : '\'') || c == '\n') {
        state = code;
      }
    } else if (c == '\n') {
      out += c;
      state = state == line_comment ? code : state;
    } else if (state == block_comment && c == '*' && next == '/') {
      ++i;
      state = code;
    }
  }
  return out;
}

inline std::vector<std::string> listed_by_git(const std::string& root) {
  std::vector<std::string> paths;
  const std::string command = "git -C '" + root + "' ls-files -z 2>/dev/null";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) {
    return paths;
  }
  std::string all;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    all.append(buffer.data(), n);
  }
  if (pclose(pipe) != 0) {
    return paths;
  }
  for (std::size_t at = 0; at < all.size();) {
    const auto end = all.find('\0', at);
    paths.push_back(all.substr(at, end - at));
    at = end == std::string::npos ? all.size() : end + 1;
  }
  return paths;
}

// Without git (a release tarball): everything but build trees and hidden folders other than .ci.
inline std::vector<std::string> listed_by_walking(const std::string& root) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string name = it->path().filename().string();
    if (it->is_directory() && ((name[0] == '.' && name != ".ci") || (it.depth() == 0 && name.starts_with("build")))) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      paths.push_back(fs::relative(it->path(), root).generic_string());
    }
  }
  return paths;
}

inline std::vector<SourceFile> read_files(const std::string& root, std::vector<std::string> paths) {
  std::sort(paths.begin(), paths.end());
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    std::ifstream in(root + "/" + path, std::ios::binary);
    if (in) {  // tracked, but deleted in the working tree: nothing to read
      files.push_back(SourceFile{path, {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}});
    }
  }
  return files;
}

// All files of the project, read once.
inline const std::vector<SourceFile>& tracked_files() {
  static const std::vector<SourceFile> files = [] {
    std::vector<std::string> paths = listed_by_git(MUSTER_SOURCE_DIR);
    if (paths.empty()) {
      paths = listed_by_walking(MUSTER_SOURCE_DIR);
    }
    return read_files(MUSTER_SOURCE_DIR, std::move(paths));
  }();
  return files;
}

inline Findings findings_in_tree(const Rule& rule) {
  Findings all;
  for (const SourceFile& file : tracked_files()) {
    Findings found = rule(file);
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

inline std::string report(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += finding.path + (finding.line != 0 ? ":" + std::to_string(finding.line) : "") + ": " + finding.what + "\n";
  }
  return text;
}

}  // namespace muster::house
