#include "bench/load/frame_template.hpp"

namespace muster::bench {
namespace {

constexpr std::uint64_t kAny = 1;  // not a default value, so that the field is there

template <class Table>
std::size_t field_at(const FrameBytes& bytes, const Table* table, flatbuffers::voffset_t field) {
  return static_cast<std::size_t>(reinterpret_cast<const flatbuffers::Table*>(table)->GetAddressOf(field) - bytes.data());
}

template <class Vector>
std::size_t data_at(const FrameBytes& bytes, const Vector* vector) {
  return static_cast<std::size_t>(vector->Data() - bytes.data());
}

template <class Body>
FrameTemplate finish(flatbuffers::FlatBufferBuilder& builder, flatbuffers::Offset<Body> body) {
  FrameTemplate out;
  out.bytes = finish_frame(builder, {Epoch(kAny), Incarnation(kAny), kAny, kAny}, body);
  const fb::Frame* frame = fb::GetFrame(out.bytes.data());
  out.epoch = field_at(out.bytes, frame, fb::Frame::VT_EPOCH);
  out.incarnation = field_at(out.bytes, frame, fb::Frame::VT_INCARNATION);
  out.sequence = field_at(out.bytes, frame, fb::Frame::VT_SEQUENCE);
  out.received = field_at(out.bytes, frame, fb::Frame::VT_RECEIVED);
  return out;
}

FrameBytes specification(std::uint64_t framework) {
  fb::TaskSpecT spec;
  spec.job = framework;
  spec.name = "load";
  spec.argv = {"/bin/true"};
  spec.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/"};
  spec.working_directory = "/";
  spec.ntasks = 1;
  spec.cpus_per_rank_milli = 1000;
  spec.stdout_path = "load-%A_%a.out";
  spec.is_array = true;
  spec.token_hi = framework;
  return pack_spec(spec);
}

}  // namespace

FrameTemplate accept_template(std::uint64_t framework, std::uint32_t launches, const fb::Amounts& shape) {
  flatbuffers::FlatBufferBuilder builder;
  const FrameBytes spec = specification(framework);
  builder.ForceVectorAlignment(spec.size(), 1, 8);
  const auto spec_bytes = fb::CreateSpecBytes(builder, builder.CreateVector(spec));
  const auto specs = builder.CreateVector(&spec_bytes, 1);
  const auto one = fb::CreateShape(builder, &shape);
  const auto shapes = builder.CreateVector(&one, 1);
  std::vector<fb::LaunchEntry> entries;
  for (std::uint32_t i = 0; i < launches; ++i) {
    entries.emplace_back(fb::AttemptId(attempt_hi(framework), i), 0U, i, 0U, 1U, 0U, 0U, std::uint16_t{0},
                         std::uint16_t{0}, std::uint16_t{0}, std::uint16_t{0});
  }
  const auto rows = builder.CreateVectorOfStructs(entries);
  const fb::OfferRef ref(0, 0);
  const auto offers = builder.CreateVectorOfStructs(&ref, 1);
  FrameTemplate out = finish(builder, fb::CreateAccept(builder, kAny, offers, rows, specs, shapes));
  const fb::Accept* accept = fb::GetFrame(out.bytes.data())->body_as_Accept();
  out.number = field_at(out.bytes, accept, fb::Accept::VT_ACCEPT);
  out.offers = data_at(out.bytes, accept->offers());
  out.records = data_at(out.bytes, accept->launches());
  return out;
}

FrameTemplate update_template(std::uint32_t updates, std::uint32_t frameworks) {
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<fb::UpdateEntry> entries(
      updates, fb::UpdateEntry(fb::AttemptId(0, 0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  const auto rows = builder.CreateVectorOfStructs(entries);
  std::vector<std::uint64_t> owners(frameworks);
  for (std::uint32_t i = 0; i < frameworks; ++i) {
    owners[i] = i + 1;
  }
  const auto list = builder.CreateVector(owners);
  FrameTemplate out = finish(builder, fb::CreateUpdate(builder, rows, 0, list));
  const fb::Update* update = fb::GetFrame(out.bytes.data())->body_as_Update();
  out.records = data_at(out.bytes, update->entries());
  out.owners = data_at(out.bytes, update->frameworks());
  return out;
}

FrameTemplate acknowledge_template(std::uint32_t entries) {
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<fb::AckEntry> rows(entries, fb::AckEntry(0, 0, 0, 0));
  FrameTemplate out = finish(builder, fb::CreateAcknowledge(builder, builder.CreateVectorOfStructs(rows)));
  out.records = data_at(out.bytes, fb::GetFrame(out.bytes.data())->body_as_Acknowledge()->entries());
  return out;
}

}  // namespace muster::bench
