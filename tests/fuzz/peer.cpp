#include "tests/fuzz/peer.hpp"

namespace muster::fuzz {
namespace {

void mutate(Random& random, FrameBytes& bytes) {
  for (std::uint64_t i = 1 + random.below(4); i > 0 && !bytes.empty(); --i) {
    switch (random.below(5)) {
      case 0: bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random.below(8)); break;
      case 1: bytes[random.below(bytes.size())] = 0xff; break;
      case 2: bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next()); break;
      case 3: bytes[random.below(bytes.size())] = 0; break;
      default:
        if (random.one_in(8)) {
          bytes.resize(random.below(bytes.size()));
        }
        break;
    }
  }
}

template <class T>
void keep_newest(std::vector<T>& list, std::size_t most) {
  if (list.size() > most) {
    list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(most));
  }
}

}  // namespace

void Peer::learn(const fb::Frame& frame, Learnt& shared) {
  if (const auto* offers = frame.body_as_Offers(); offers != nullptr && offers->offers() != nullptr) {
    for (const fb::OfferEntry* o : *offers->offers()) {
      offers_.push_back(*o);
    }
    keep_newest(offers_, 5);
  }
  const auto launched = [&](const flatbuffers::Vector<const fb::LaunchEntry*>* launches) {
    if (launches != nullptr) {
      for (const fb::LaunchEntry* l : *launches) {
        tasks_.emplace_back(l->attempt(), l->node(), 0);
        shared.attempts.push_back(l->attempt());
      }
      keep_newest(tasks_, 6);
      keep_newest(shared.attempts, 24);
    }
  };
  if (const auto* launch = frame.body_as_Launch(); launch != nullptr) {
    launched(launch->launches());
  }
  if (const auto* prepare = frame.body_as_Prepare(); prepare != nullptr) {
    launched(prepare->launches());
  }
  if (const auto* registered = frame.body_as_Registered(); registered != nullptr && registered->nodes() != nullptr) {
    for (const fb::RegisteredNode* n : *registered->nodes()) {
      if (shared.nodes.size() < 16) {
        shared.nodes.push_back(n->node());
      }
    }
  }
}

FrameBytes Peer::next(Random& random, const Learnt& shared) {
  Learnt learnt = shared;
  learnt.offers = offers_;
  learnt.tasks = tasks_;
  learnt.update_seq = update_seq_;
  update_seq_ += 4;
  FrameBytes bytes;
  if (who_.role == Role::operator_) {
    bytes = message(random, who_, learnt, {});
  } else if (!alive_ || random.one_in(150)) {
    alive_ = true;
    incarnation_ += random.one_in(20) ? 0 : 1;
    sent_ = 1;
    received_ = 0;
    bytes = opening(random, who_, learnt, {Epoch(1), Incarnation(incarnation_), 1, 0});
  } else {
    FrameHead head{Epoch(1), Incarnation(incarnation_), ++sent_, received_};
    switch (random.below(400)) {
      case 0: head.sequence += 1 + random.below(3); break;     // a gap
      case 1: head.sequence = random.below(sent_ + 1); break;  // a repeat
      case 2: head.incarnation = Incarnation(random.odd(9)); break;
      case 3: head.epoch = Epoch(random.odd(9)); break;
      case 4: head.received = random.odd(99); break;
      default: break;
    }
    bytes = message(random, who_, learnt, head);
    if (fb::GetFrame(bytes.data())->body_type() == fb::Body::Accept && !random.one_in(4)) {
      offers_.clear();
    }
  }
  if (random.one_in(30)) {
    mutate(random, bytes);
    alive_ = alive_ && !random.one_in(3);
  }
  return bytes;
}

bool Peer::take(const FrameBytes& bytes, Learnt& shared) {
  const auto frame = verify_frame(bytes);
  if (!frame) {
    return false;
  }
  if ((*frame)->incarnation() == incarnation_ && (*frame)->sequence() == received_ + 1) {
    ++received_;
  }
  if (const auto* refused = (*frame)->body_as_Refused();
      refused != nullptr && (refused->code() == fb::RefusedCode::Gap || refused->code() == fb::RefusedCode::NotRegistered ||
                             refused->code() == fb::RefusedCode::StaleIncarnation)) {
    alive_ = false;
  }
  learn(**frame, shared);
  return true;
}

}  // namespace muster::fuzz
