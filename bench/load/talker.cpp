#include "bench/load/talker.hpp"

#include <cerrno>
#include <chrono>
#include <thread>

#include "wire/base/time.hpp"

namespace muster::bench {

void Talker::wait_a_bit() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

Talker::Talker(std::uint16_t port) {
  if (!stream_.connect(port)) {
    problem_ = "connect to the master: " + std::string(std::strerror(errno));
    return;
  }
  for (int ms = 0; ms < kPatienceMs && !stream_.is_open() && problem_.empty(); ++ms) {
    flush();
    read([](const fb::Frame&) {});
    wait_a_bit();
  }
  if (!stream_.is_open() && problem_.empty()) {
    problem_ = "the master does not greet";
  }
}

void Talker::send(const FrameBytes& frame) { std::memcpy(stream_.append(frame.size()), frame.data(), frame.size()); }

void Talker::flush() {
  if (!stream_.flush() && problem_.empty()) {
    problem_ = "the connection broke: " + std::string(std::strerror(errno));
  }
}

bool Talker::subscribe(std::uint64_t id, const std::string& name) {
  fb::SubscribeT message;
  message.framework = id;
  message.name = name;
  message.role = "load";
  message.version = kVersionText;
  link_.open(Incarnation(static_cast<std::uint64_t>(SystemClock{}.now().wall.ns())));
  send(pack_frame<fb::Subscribe>(link_.next_head(Epoch{}), message));
  const bool done = read_until([](const fb::Frame& frame) { return frame.body_type() == fb::Body::Subscribed; });
  if (!done && problem_.empty()) {
    problem_ = "the master does not answer a Subscribe";
  }
  return done;
}

std::optional<std::uint32_t> Talker::enroll(const std::string& name) {
  fb::RegisterT message;
  auto node = std::make_unique<fb::NodeRegistrationT>();
  node->name = name;
  node->boot_id = "simulated";
  node->capacity = std::make_unique<fb::ShapeT>();
  node->capacity->amounts = std::make_unique<fb::Amounts>(1ULL << 30U, 0, 1000, 0);
  node->version = kVersionText;
  message.nodes.push_back(std::move(node));
  link_.open(Incarnation(static_cast<std::uint64_t>(SystemClock{}.now().wall.ns())));
  send(pack_frame<fb::Register>(link_.next_head(Epoch{}), message));
  std::optional<std::uint32_t> index;
  read_until([&](const fb::Frame& frame) {
    if (frame.body_type() == fb::Body::Registered) {
      index = frame.body_as_Registered()->nodes()->Get(0)->node();
    }
    return index.has_value();
  });
  if (!index && problem_.empty()) {
    problem_ = "the master does not answer a Register";
  }
  return index;
}

void Talker::request(std::uint64_t cpus_milli, std::uint32_t count, const std::vector<std::uint32_t>& nodes) {
  flatbuffers::FlatBufferBuilder builder;
  const fb::Amounts amounts(1ULL << 30U, 0, static_cast<std::uint32_t>(cpus_milli), 0);
  const auto shape = fb::CreateShape(builder, &amounts);
  const auto only = nodes.empty() ? 0 : builder.CreateVector(nodes);
  const auto wanted = fb::CreateWantedShape(builder, shape, count, false, only);
  const auto wants = builder.CreateVector(&wanted, 1);
  send_in_life(builder, fb::CreateRequest(builder, wants));
  flush();
}

void Talker::launch(std::uint64_t id, const fb::OfferRef& offer, std::uint32_t node) {
  const FrameTemplate form = accept_template(id, 1, fb::Amounts(1ULL << 30U, 0, 1000, 0));
  FrameBytes frame = form.bytes;
  form.head(frame.data(), link_.next_head(epoch_));
  put(frame.data() + form.offers, offer.slot());
  put(frame.data() + form.offers + 4, offer.generation());
  put(frame.data() + form.records + 16, node);
  send(frame);
  flush();
}

}  // namespace muster::bench
