#include "node/pmi/pmi1_protocol.hpp"

#include <algorithm>
#include <charconv>

#include "node/pmi/step_layout.hpp"

namespace muster::node {
namespace {

// What get_maxes says. A rank's line has room for 1024 bytes, "cmd=get_result …" included.
constexpr std::size_t kNameMax = 256;
constexpr std::size_t kKeyMax = 64;
constexpr std::size_t kValueMax = 1024;
constexpr std::size_t kValueInLineMax = 960;
constexpr std::size_t kLongCommandMax = 1 << 20;

// What we understand and don't do, and the answer that its caller waits for.
const std::map<std::string, std::string, std::less<>>& refusals() {
  static const std::map<std::string, std::string, std::less<>> kRefusals{
      {"publish_name", "publish_result"}, {"unpublish_name", "unpublish_result"}, {"lookup_name", "lookup_result"},
      {"create_kvs", "newkvs"},           {"destroy_kvs", "kvs_destroyed"},       {"getbyidx", "getbyidx_results"},
  };
  return kRefusals;
}

std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) {
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return "'" + out + (text.size() > 80 ? "'…" : "'");
}

std::int32_t number_or(const std::string& text, std::int32_t otherwise) {
  std::int32_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

template <class Map>
const std::string& field(const Map& fields, std::string_view name) {
  static const std::string kNone;
  const auto found = fields.find(name);
  return found == fields.end() ? kNone : found->second;
}

}  // namespace

Pmi1Step::Pmi1Step(const PmiStep& step) : step_(step.step), ntasks_(step.ntasks), name_(step.name) {
  for (const std::uint32_t rank : step.ranks[step.here]) {
    ranks_[rank] = State::fresh;
  }
  // Without a mapping that fits, MPICH compares host names.
  if (std::string mapping = process_mapping(step); mapping.size() <= kValueInLineMax) {
    known_["PMI_process_mapping"] = std::move(mapping);
  }
}

bool Pmi1Step::closed(std::uint32_t rank) const {
  const auto found = ranks_.find(rank);
  return found == ranks_.end() || found->second == State::closed;
}

Pmi1Step::Output Pmi1Step::on_nonsense(std::uint32_t rank, const std::string& why) {
  if (closed(rank)) {
    return {};
  }
  State& state = ranks_[rank];
  waiting_ -= state == State::waiting ? 1 : 0;
  state = State::closed;
  return {{}, {pmi_event::Aborted{step_, static_cast<std::int32_t>(rank), 1, "rank " + std::to_string(rank) + ": " + why}}, true};
}

Pmi1Step::Output Pmi1Step::on(std::uint32_t rank, std::string_view line) {
  if (closed(rank)) {
    return {};
  }
  State& state = ranks_[rank];
  if (const auto open = long_command_.find(rank); open != long_command_.end()) {
    open->second += line.size() + 1;
    if (open->second > kLongCommandMax) {
      return on_nonsense(rank, "a PMI-1 command without an end");
    }
    if (line != "endcmd") {
      return {};
    }
    long_command_.erase(open);
    return refuse(rank, "spawn", "spawn_result");
  }
  if (line.starts_with("mcmd=spawn") && state == State::talking) {
    long_command_[rank] = line.size();
    return {};
  }
  Fields fields;
  for (std::string_view rest = line; !rest.empty();) {
    const std::size_t space = rest.find(' ');
    const std::string_view word = rest.substr(0, space);
    rest = space == std::string_view::npos ? std::string_view{} : rest.substr(space + 1);
    if (word.empty()) {
      continue;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return on_nonsense(rank, "said " + shown(line) + ", which is no PMI-1");
    }
    fields.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
  Output out = on_command(rank, state, fields);
  if (out.answers.empty() && out.events.empty() && state != State::waiting) {
    return on_nonsense(rank, "said " + shown(line) + ", which PMI-1 does not know or not at this point");
  }
  return out;
}

Pmi1Step::Output Pmi1Step::on_command(std::uint32_t rank, State& state, const Fields& fields) {
  const std::string& command = field(fields, "cmd");
  if (command == "abort") {
    waiting_ -= state == State::waiting ? 1 : 0;
    state = State::closed;
    const std::int32_t code = number_or(field(fields, "exitcode"), 1);
    return {{}, {pmi_event::Aborted{step_, static_cast<std::int32_t>(rank), code,
                                    "rank " + std::to_string(rank) + " called abort with code " + std::to_string(code)}}};  // it waits to be ended
  }
  if (command == "init" && state == State::fresh) {
    if (field(fields, "pmi_version") != "1") {
      Output out = on_nonsense(rank, "wants PMI version " + shown(field(fields, "pmi_version")) + "; this is version 1");
      out.answers.push_back({rank, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n"});
      return out;
    }
    state = State::talking;
    return {{{rank, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n"}}, {pmi_event::Connected{step_, rank}}};
  }
  if (state != State::talking) {
    if (state == State::waiting) {
      return on_nonsense(rank, "said " + shown(command) + " while it waits in a barrier");
    }
    return {};
  }
  if (command == "get_maxes") {
    return {{{rank, "cmd=maxes kvsname_max=" + std::to_string(kNameMax) + " keylen_max=" + std::to_string(kKeyMax) +
                        " vallen_max=" + std::to_string(kValueMax) + "\n"}}, {}};
  }
  if (command == "get_appnum") {
    return {{{rank, "cmd=appnum appnum=0\n"}}, {}};
  }
  if (command == "get_universe_size") {
    return {{{rank, "cmd=universe_size size=" + std::to_string(ntasks_) + "\n"}}, {}};
  }
  if (command == "get_my_kvsname") {
    return {{{rank, "cmd=my_kvsname kvsname=" + name_ + "\n"}}, {}};
  }
  if (command == "put") {
    return on_put(rank, fields);
  }
  if (command == "get") {
    return on_get(rank, fields);
  }
  if (command == "barrier_in") {
    return on_barrier(rank, state);
  }
  if (command == "finalize") {
    state = State::finalized;
    return {{{rank, "cmd=finalize_ack\n"}}, {pmi_event::Finalized{step_, rank}}};
  }
  if (const auto refusal = refusals().find(command); refusal != refusals().end()) {
    return refuse(rank, command, refusal->second);
  }
  return {};
}

Pmi1Step::Output Pmi1Step::on_put(std::uint32_t rank, const Fields& fields) {
  const std::string& key = field(fields, "key");
  const std::string& value = field(fields, "value");
  std::string wrong;
  if (field(fields, "kvsname") != name_) {
    wrong = "kvs_" + field(fields, "kvsname") + "_not_found";
  } else if (key.empty() || key.size() > kKeyMax || value.size() > kValueMax) {
    wrong = "key_or_value_too_long";
  } else if (known_.contains(key) || !put_.emplace(key, value).second) {
    wrong = "duplicate_key_" + key;
  }
  return {{{rank, wrong.empty() ? "cmd=put_result rc=0 msg=success\n" : "cmd=put_result rc=-1 msg=" + wrong + "\n"}}, {}};
}

Pmi1Step::Output Pmi1Step::on_get(std::uint32_t rank, const Fields& fields) const {
  const std::string& key = field(fields, "key");
  if (field(fields, "kvsname") != name_) {
    return {{{rank, "cmd=get_result rc=-1 msg=kvs_" + field(fields, "kvsname") + "_not_found value=unknown\n"}}, {}};
  }
  const auto found = known_.find(key);
  if (found == known_.end()) {
    return {{{rank, "cmd=get_result rc=-1 msg=key_" + key + "_not_found value=unknown\n"}}, {}};
  }
  return {{{rank, "cmd=get_result rc=0 msg=success value=" + found->second + "\n"}}, {}};
}

Pmi1Step::Output Pmi1Step::on_barrier(std::uint32_t rank, State& state) {
  (void)rank;
  state = State::waiting;
  if (++waiting_ < ranks_.size()) {
    return {};
  }
  // Neither keys nor values have spaces or ends of line in them: they came as words of a line.
  std::string data;
  for (const auto& [key, value] : put_) {
    data += key + ' ' + value + '\n';
  }
  put_.clear();
  return {{}, {pmi_event::Exchange{step_, std::move(data)}}};
}

Pmi1Step::Output Pmi1Step::on_exchanged(bool ok, std::string_view data) {
  Output out;
  while (!data.empty()) {
    const std::size_t end = std::min(data.find('\n'), data.size());
    const std::string_view line = data.substr(0, end);
    if (const std::size_t space = line.find(' '); space != std::string_view::npos) {
      known_.emplace(line.substr(0, space), line.substr(space + 1));
    }
    data.remove_prefix(std::min(end + 1, data.size()));
  }
  for (auto& [rank, state] : ranks_) {
    if (state == State::waiting) {
      state = State::talking;
      out.answers.push_back({rank, ok ? "cmd=barrier_out rc=0\n" : "cmd=barrier_out rc=-1\n"});
    }
  }
  waiting_ = 0;
  return out;
}

Pmi1Step::Output Pmi1Step::refuse(std::uint32_t rank, const std::string& command, const std::string& answer) const {
  return {{{rank, "cmd=" + answer + " rc=-1 msg=" + command + "_is_not_supported\n"}},
          {pmi_event::Unsupported{step_, rank, "PMI-1 " + command}}};
}

}  // namespace muster::node
