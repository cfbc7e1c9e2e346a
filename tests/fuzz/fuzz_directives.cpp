// Goal: whatever stands in a script, its directives are read or refused by line, quickly, and never twice differently.
// Method: scripts made of pieces that real ones have, bent byte by byte; what is understood goes through to the job and must
// survive the schema's own check. One seed is one run.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "sched/cli/batch_request.hpp"
#include "sched/cli/directives.hpp"
#include "tests/fuzz/random.hpp"

namespace {

using namespace muster;
using namespace muster::cli;

const std::vector<std::string> kPieces{
    "#SBATCH ", "#MUSTER ", "##SBATCH ", "#PBS ", "\n", "\n", "\n", " ", "\t", "=", "#", "'", "\"", "\\", "\r", "-", "--", "[", "]",
    "%", ",", ":", "4", "0", "1-3", "99999999999999999999", "4G", "150gb", "0-00:30", "1:2:3", "%j", "hostname", "gpu:2", "map:0,1",
    "-N", "-n", "-c", "-t", "-J", "-HJ", "-p", "-a", "-D", "-o", "-m", "-K", "-G", "\xff", "\xc3\xa9", "echo\n"};

std::string script_from(fuzz::Random& random) {
  std::string text = random.one_in(20) ? "" : "#!/bin/bash\n";
  const auto pieces = random.below(60);
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (random.one_in(4)) {
      text += "#SBATCH ";
    }
    if (random.one_in(3)) {
      const auto options = job_options();
      const std::string name = options[random.below(options.size())].written();
      text += random.one_in(5) ? name.substr(0, random.below(name.size() + 1)) : name;
      text += random.one_in(2) ? "=" : " ";
    }
    text += random.pick(kPieces);
  }
  for (std::uint64_t i = random.one_in(3) ? random.below(8) : 0; i > 0 && !text.empty(); --i) {
    text[random.below(text.size())] = static_cast<char>(random.below(256));
  }
  return text;
}

// "" when all is well.
std::string step(fuzz::Random& random, std::uint64_t& understood) {
  const std::string script = script_from(random);
  const auto first = read_directives(script, "job.sh");
  const auto again = read_directives(script, "job.sh");
  if (first.has_value() != again.has_value() || (!first && first.error().text != again.error().text)) {
    return "the same script was read in two ways:\n" + script;
  }
  if (!first && !first.error().text.starts_with("job.sh:")) {
    return "no line is named: " + first.error().text;
  }
  Surroundings here{.environment = {"PATH=/bin"}, .working_directory = "/w", .home = "/h", .shell = "/bin/sh", .user = "u",
                    .host = "h", .uid = 1, .gid = 1};
  JobOptions options;
  options.command = {"job.sh"};
  const auto request = make_batch_request(options, {"job.sh", script}, here);
  if (!request) {
    return request.error().text.empty() ? "an error says nothing:\n" + script : "";
  }
  ++understood;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::JobSpec::Pack(builder, &request->job.spec));
  flatbuffers::Verifier verifier(builder.GetBufferPointer(), builder.GetSize(), 16, 200'000);
  return verifier.VerifyBuffer<fb::JobSpec>(nullptr) ? "" : "the job does not verify:\n" + script;
}

}  // namespace

// fuzz_directives [SEEDS] [STEPS]
int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10;
  const std::uint64_t steps = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 3000;
  std::uint64_t understood = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    fuzz::Random random(seed);
    for (std::uint64_t i = 0; i < steps; ++i) {
      const std::string wrong = step(random, understood);
      if (!wrong.empty()) {
        std::fprintf(stderr, "seed %llu step %llu: %s\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(i),
                     wrong.c_str());
        return 1;
      }
    }
  }
  std::printf("%llu scripts, %llu understood\n", static_cast<unsigned long long>(seeds * steps),
              static_cast<unsigned long long>(understood));
  return understood == 0 ? 1 : 0;
}
