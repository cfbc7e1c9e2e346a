// Valid frames of many kinds, for tests that bend them.
#pragma once

#include <memory>
#include <vector>

#include "wire/schema/frame.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::test {

inline std::unique_ptr<fb::ShapeT> shape(MilliCpus cpus_milli, Bytes memory_bytes) {
  Resources r;
  r.cpus_milli = cpus_milli;
  r.memory_bytes = memory_bytes;
  r.ports = PortSet({{31000, 31099}, {40000, 40000}});
  r.set_count("licence.x", 3);
  return std::make_unique<fb::ShapeT>(to_shape_object(r));
}

inline std::vector<FrameBytes> sample_frames() {
  std::vector<FrameBytes> out;
  const FrameHead head{Epoch(3), Incarnation(77), 1, 0};
  out.push_back(pack_frame<fb::Heartbeat>(head, {}));
  {
    fb::SubscribeT m;
    m.framework = 9;
    m.name = "tester";
    m.role = "default";
    auto want = std::make_unique<fb::WantedShapeT>();
    want->shape = shape(2000, 1U << 30U);
    want->count = 4;
    want->nodes = {1, 2};
    m.wants.push_back(std::move(want));
    m.live.emplace_back(fb::AttemptId(1, 2), 0, 0);
    m.node_names = {"n1"};
    out.push_back(pack_frame<fb::Subscribe>(head, m));
  }
  {
    fb::RegisterT m;
    auto node = std::make_unique<fb::NodeRegistrationT>();
    node->name = "n1";
    node->boot_id = "boot";
    node->capacity = shape(4000, 4ULL << 30U);
    node->attributes = {"rack=1"};
    node->topology = std::make_unique<fb::TopologyT>();
    node->topology->pus.emplace_back(0, 0, 0, 0, 0);
    node->tasks.emplace_back(fb::AttemptId(1, 2), 9, 0, 0, 2, 0, 0);
    node->shapes.push_back(shape(1000, 1U << 20U));
    node->names = {"job"};
    m.nodes.push_back(std::move(node));
    out.push_back(pack_frame<fb::Register>(head, m));
  }
  {
    fb::AcceptT m;
    m.accept = 5;
    m.offers.emplace_back(0, 1);
    m.launches.emplace_back(fb::AttemptId(5, 6), 0, 0, 0, 1, 1, 0, 0, 0, 0, 0);
    m.launches.emplace_back(fb::AttemptId(5, 7), 1, 0, 1, 1, 1, 1, 0, 0, 0, 0);
    fb::TaskSpecT spec;
    spec.argv = {"/bin/true"};
    spec.environment = {"A=b"};
    auto bytes = std::make_unique<fb::SpecBytesT>();
    bytes->data = pack_spec(spec);
    m.specs.push_back(std::move(bytes));
    m.shapes.push_back(shape(1000, 1U << 20U));
    out.push_back(pack_frame<fb::Accept>(head, m));
  }
  {
    fb::UpdateT m;
    m.entries.emplace_back(fb::AttemptId(5, 6), 1, 100, 200, 0, 0, 0, 1, 10, 0, 0, 0);
    auto detail = std::make_unique<fb::UpdateDetailT>();
    detail->cpus = "0-1";
    m.details.push_back(std::move(detail));
    m.frameworks = {9};
    out.push_back(pack_frame<fb::Update>(head, m));
  }
  {
    fb::KillT m;
    m.attempts.emplace_back(fb::AttemptId(5, 6), 0, 0);
    out.push_back(pack_frame<fb::Kill>(head, m));
  }
  {
    fb::ReconcileT m;
    m.live.emplace_back(fb::AttemptId(8, 8), 0, 0);
    m.node_names = {"n1"};
    out.push_back(pack_frame<fb::Reconcile>(head, m));
  }
  {
    fb::DeclineT m;
    m.offers.emplace_back(0, 1);
    m.filter_ms = 5000;
    out.push_back(pack_frame<fb::Decline>(head, m));
  }
  {
    fb::AcknowledgeT m;
    m.entries.emplace_back(1, 0, 0, 0);
    m.frameworks = {9};
    out.push_back(pack_frame<fb::Acknowledge>(head, m));
  }
  {
    fb::OperatorQueryT m;
    m.request = 1;
    m.subject = fb::Subject::Tasks;
    out.push_back(pack_frame<fb::OperatorQuery>({}, m));
  }
  {
    fb::DrainNodeT m;
    m.request = 2;
    m.node = "n1";
    m.reason = "why";
    out.push_back(pack_frame<fb::DrainNode>({}, m));
  }
  out.push_back(refused_frame(head, {fb::RefusedCode::Gap, 0, 4, "frame", "a frame is missing"}));
  return out;
}

}  // namespace muster::test
