#include "sched/gang/token.hpp"

#include <bit>

namespace muster::gang {
namespace {

struct State {
  std::uint64_t a, b, c, d;
  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void absorb(std::uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

}  // namespace

std::uint64_t keyed_hash(std::uint64_t key_hi, std::uint64_t key_lo, std::uint64_t value) {
  State s{key_lo ^ 0x736f6d6570736575ULL, key_hi ^ 0x646f72616e646f6dULL, key_lo ^ 0x6c7967656e657261ULL,
          key_hi ^ 0x7465646279746573ULL};
  s.absorb(value);
  s.absorb(std::uint64_t{8} << 56U);  // eight bytes, then nothing
  s.c ^= 0xffU;
  for (int i = 0; i < 4; ++i) {
    s.round();
  }
  return s.a ^ s.b ^ s.c ^ s.d;
}

}  // namespace muster::gang
