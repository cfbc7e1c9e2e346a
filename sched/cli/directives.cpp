#include "sched/cli/directives.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "wire/base/suggest.hpp"
#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

// The words of a directive line's rest; without a value when quotes do not close.
std::optional<std::vector<std::string>> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool some = false;  // a word has begun; "" is one too
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      some = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      some = true;
    } else if (c == '#') {
      break;
    } else if (is_blank(c)) {
      if (some) {
        words.push_back(std::move(word));
        word.clear();
        some = false;
      }
    } else {
      word += c;
      some = true;
    }
  }
  if (quote != 0) {
    return std::nullopt;
  }
  if (some) {
    words.push_back(std::move(word));
  }
  return words;
}

// "#SBATCH" and a blank (or nothing) after it: the rest.
std::optional<std::string_view> after_mark(std::string_view line, std::string_view mark) {
  if (!line.starts_with(mark) || (line.size() > mark.size() && !is_blank(line[mark.size()]))) {
    return std::nullopt;
  }
  return line.substr(mark.size());
}

class LineReader {
 public:
  LineReader(std::string_view file, std::uint32_t line) : place_(std::string(file) + ":" + std::to_string(line) + ": "), line_(line) {}

  Status read(std::string_view rest, std::vector<Directive>& out) {
    const auto words = words_of(rest);
    if (!words) {
      return bad("a quotation does not end");
    }
    for (std::size_t i = 0; i < words->size(); ++i) {
      const std::string& word = (*words)[i];
      if (word.size() < 2 || word[0] != '-') {
        return bad("'" + printable(word) + "' is no option; a directive holds options only, as --time=1:00:00");
      }
      if (word == "--") {
        return bad("a directive holds options only; a command stands below, on a line of its own");
      }
      const std::string* const next = i + 1 < words->size() ? &(*words)[i + 1] : nullptr;
      auto used = word[1] == '-' ? read_long(word, next, out) : read_letters(word, next, out);
      if (!used) {
        return tl::unexpected(used.error());
      }
      i += *used ? 1 : 0;
    }
    return {};
  }

 private:
  [[nodiscard]] tl::unexpected<Error> bad(std::string text) const { return fail(Errc::invalid_argument, place_ + std::move(text)); }

  // Both: whether `next` was taken as the value.
  Result<bool> read_long(const std::string& word, const std::string* next, std::vector<Directive>& out) {
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const std::vector<const JobOption*> like = name.empty() ? std::vector<const JobOption*>{} : job_options_like(name, kInScript);
    if (like.empty()) {
      return unknown("--" + name);
    }
    if (like.size() > 1) {
      std::string names;
      for (const JobOption* option : like) {
        names += (names.empty() ? "" : ", ") + option->written();
      }
      return bad("--" + printable(name) + " may be " + names + "; write it out");
    }
    const JobOption& option = *like.front();
    if (option.argument == Argument::none && equals != std::string::npos) {
      return bad(option.written() + " takes no value");
    }
    const bool takes_next = option.argument == Argument::required && equals == std::string::npos;
    if (takes_next && next == nullptr) {
      return needs_value(option.written(), option);
    }
    return add(option, equals != std::string::npos ? word.substr(equals + 1) : takes_next ? *next : "", takes_next, out);
  }

  Result<bool> read_letters(const std::string& word, const std::string* next, std::vector<Directive>& out) {
    for (std::size_t at = 1; at < word.size(); ++at) {
      const JobOption* const option = find_job_option(word[at], kInScript);
      if (option == nullptr) {
        return unknown(std::string("-") + word[at]);
      }
      if (option->argument == Argument::none) {
        if (auto added = add(*option, "", false, out); !added) {
          return added;
        }
        continue;
      }
      const bool attached = at + 1 < word.size();
      const bool takes_next = option->argument == Argument::required && !attached;
      if (takes_next && next == nullptr) {
        return needs_value(std::string("-") + word[at], *option);
      }
      return add(*option, attached ? word.substr(at + 1) : takes_next ? *next : "", takes_next, out);
    }
    return false;
  }

  Result<bool> add(const JobOption& option, std::string value, bool took_next, std::vector<Directive>& out) {
    if (option.use == JobOption::Use::refused) {
      return fail(Errc::unsupported, place_ + "muster has no " + option.written() + " yet; " +
                                         (option.help.empty() ? "leave it out" : std::string(option.help)));
    }
    out.push_back({&option, std::move(value), line_});
    return took_next;
  }

  tl::unexpected<Error> needs_value(const std::string& written, const JobOption& option) const {
    return bad(written + " needs a value" + (option.value_name.empty() ? "" : ": " + std::string(option.value_name)));
  }

  tl::unexpected<Error> unknown(const std::string& written) const {
    std::vector<std::string> names;
    for (const JobOption& option : job_options()) {
      names.push_back(option.written());
    }
    const std::string near = written.starts_with("--") ? nearest(written, names) : "";
    return bad("unknown option " + printable(written) +
               (near.empty() ? "; see: muster batch --help" : "; did you mean " + near + "?"));
  }

  std::string place_;
  std::uint32_t line_;
};

}  // namespace

JobOptions Directives::options() const {
  JobOptions options;
  for (const Directive& directive : list) {
    set_option(*directive.option, directive.value, options);
  }
  return options;
}

std::uint32_t Directives::line_of(std::string_view option_name) const {
  for (auto it = list.rbegin(); it != list.rend(); ++it) {
    if (it->option->name == option_name) {
      return it->line;
    }
  }
  return 0;
}

Result<Directives> read_directives(std::string_view script, std::string_view file) {
  std::vector<Directive> sbatch;
  std::vector<Directive> own;
  Directives result;
  std::uint32_t number = 0;
  bool foreign = false;
  while (!script.empty()) {
    const auto end = script.find('\n');
    const std::string_view line = script.substr(0, end);
    script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    ++number;
    const auto first = std::find_if_not(line.begin(), line.end(), is_blank);
    if (first == line.end()) {
      continue;
    }
    if (*first != '#') {
      break;
    }
    LineReader reader(file, number);
    if (const auto rest = after_mark(line, "#SBATCH")) {
      if (auto status = reader.read(*rest, sbatch); !status) {
        return tl::unexpected(status.error());
      }
    } else if (const auto more = after_mark(line, "#MUSTER")) {
      if (auto status = reader.read(*more, own); !status) {
        return tl::unexpected(status.error());
      }
    } else if (!foreign && (after_mark(line, "#PBS") || after_mark(line, "#BSUB"))) {
      foreign = true;
      result.warnings.push_back(std::string(file) + ":" + std::to_string(number) + ": '" + printable(line.substr(0, 60)) +
                                "' is for another batch system and is not read; write #SBATCH or #MUSTER lines");
    }
  }
  result.list = std::move(sbatch);
  std::move(own.begin(), own.end(), std::back_inserter(result.list));
  return result;
}

bool is_elf(std::string_view content) { return content.starts_with("\x7f" "ELF"); }

Status check_script(std::string_view script, std::string_view file) {
  const auto bad = [&](const std::string& text) { return fail(Errc::invalid_argument, std::string(file) + " " + text); };
  if (script.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return bad("is empty; a batch script begins with #!/bin/bash");
  }
  if (is_elf(script)) {
    const bool here = file.find('/') == std::string_view::npos;
    return bad("is a program, not a batch script; write: muster submit -- " + std::string(here ? "./" : "") + std::string(file));
  }
  if (script.find('\0') != std::string_view::npos) {
    return bad("is no text (it holds a zero byte), so it is no batch script");
  }
  const std::string_view first = script.substr(0, script.find('\n'));
  if (!first.starts_with("#!")) {
    return bad("is no batch script: its first line must name the interpreter, as #!/bin/bash");
  }
  if (first.ends_with('\r')) {
    return bad("has DOS line ends, which its interpreter would take for part of its name; convert it: sed -i 's/\\r$//' " +
               shell_words({std::string(file)}));
  }
  return {};
}

JobOptions options_of_environment(const std::vector<std::string>& environment) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOtherNames{{
      {"TIMELIMIT", "time"}, {"ARRAY_INX", "array"}, {"MEM_PER_NODE", "mem"}, {"WORKING_DIR", "chdir"}}};
  JobOptions options;
  for (const std::string_view prefix : {"SBATCH_", "MUSTER_BATCH_"}) {
    for (const std::string& entry : environment) {
      const auto equals = entry.find('=');
      if (!entry.starts_with(prefix) || equals == std::string::npos) {
        continue;
      }
      std::string name = entry.substr(prefix.size(), equals - prefix.size());
      const auto* const other = std::find_if(kOtherNames.begin(), kOtherNames.end(), [&](const auto& pair) { return pair.first == name; });
      if (other != kOtherNames.end()) {
        name = other->second;
      }
      std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      });
      const JobOption* const option = find_job_option(name, kInScript);
      if (option != nullptr && option->use == JobOption::Use::taken) {
        set_option(*option, entry.substr(equals + 1), options);
      }
    }
  }
  return options;
}

}  // namespace muster::cli
