// Operators: pages of rows, drains, weights and quotas. Request and answer, outside of any life.
#include <algorithm>
#include <cmath>

#include "master/core/impl.hpp"

namespace muster::master {
namespace {

constexpr std::uint32_t kRowsMax = 1000;
constexpr std::uint64_t kPlacesMax = 16'384;  // looked at for one page
constexpr std::uint64_t kPlacesPerRow = 16;   // looking at so many costs as much as making a row

// One page: places after `after`, at most `limit` rows. f(place) says whether it made a row. Returns what it cost, in rows.
template <class F>
std::uint64_t page(fb::OperatorReplyT& reply, std::uint32_t places, std::uint64_t after, std::uint32_t limit, F&& f) {
  std::uint32_t rows = 0;
  std::uint64_t place = after;
  for (; place < places; ++place) {
    if (rows == limit || place - after == kPlacesMax) {
      reply.more = true;
      reply.next_after = place;
      break;
    }
    if (f(static_cast<std::uint32_t>(place))) {
      ++rows;
      reply.next_after = place + 1;
    }
  }
  return rows + (place - std::min(place, after)) / kPlacesPerRow;
}

std::uint64_t request_of(const fb::Frame& frame) {
  switch (frame.body_type()) {
    case fb::Body::OperatorQuery: return frame.body_as_OperatorQuery()->request();
    case fb::Body::DrainNode: return frame.body_as_DrainNode()->request();
    case fb::Body::SetWeight: return frame.body_as_SetWeight()->request();
    case fb::Body::SetQuota: return frame.body_as_SetQuota()->request();
    default: return 0;
  }
}

std::unique_ptr<fb::ShapeT> shape_of(const Resources& resources) {
  return std::make_unique<fb::ShapeT>(to_shape_object(resources));
}

}  // namespace

void MasterCore::Impl::on_operator(LinkId id, const Peer& peer, const fb::Frame& frame, Now now) {
  using enum fb::RefusedCode;
  const bool query = frame.body_type() == fb::Body::OperatorQuery;
  if ((peer.rights & (query ? kMayQuery : kMayOperate)) == 0) {
    refuse(id, frame, NotAllowed, fb::EnumNameBody(frame.body_type()),
           query ? "your key may not ask for the master's tables" : "only operators of this cluster may do this",
           request_of(frame));
    return;
  }
  const auto done = [&](std::uint64_t request, std::string text) {
    fb::OperatorDoneT body;
    body.request = request;
    body.text = std::move(text);
    reply(id, pack_frame<fb::OperatorDone>({epoch, {}, 0, 0}, body), fb::Body::OperatorDone);
  };
  switch (frame.body_type()) {
    case fb::Body::OperatorQuery:
      answer_query(id, frame, *frame.body_as_OperatorQuery(), now);
      return;
    case fb::Body::DrainNode: {
      const auto& message = *frame.body_as_DrainNode();
      const std::string name(text_of(message.node()));
      const NodeIndex node = nodes.find(name);
      if (node == kNoNode) {
        refuse(id, frame, UnknownNode, "node " + name, "no node of this name has registered; muster nodes lists them",
               message.request());
        return;
      }
      set_drained(node, !message.undrain(), std::string(text_of(message.reason())), true);
      done(message.request(), "node " + name + (message.undrain() ? " takes tasks again" : " is drained"));
      return;
    }
    case fb::Body::SetWeight: {
      const auto& message = *frame.body_as_SetWeight();
      const std::string role(text_of(message.role()));
      if (role.empty() || !std::isfinite(message.weight()) || message.weight() <= 0) {
        refuse(id, frame, BadRequest, "weight " + std::to_string(message.weight()),
               "a weight is a number above 0, of a named role", message.request());
        return;
      }
      allocator.set_weight(role, message.weight());
      framework_marks.mark_all();
      done(message.request(), "role " + role + " has weight " + std::to_string(message.weight()));
      return;
    }
    case fb::Body::SetQuota: {
      const auto& message = *frame.body_as_SetQuota();
      const std::string role(text_of(message.role()));
      Amounts limit;
      if (message.limit() != nullptr) {
        const auto read = from_fb(*message.limit());
        if (!read || !read->ports.empty() || !read->counts.empty()) {
          refuse(id, frame, BadRequest, "quota of role " + role,
                 "a quota limits cpus, memory, disk and gpus; leave the others out", message.request());
          return;
        }
        limit.add(*read);
      }
      if (role.empty()) {
        refuse(id, frame, BadRequest, "role", "a quota is of a named role", message.request());
        return;
      }
      allocator.set_quota(role, limit);
      done(message.request(), limit == Amounts{} ? "role " + role + " has no quota" : "role " + role + " has a quota");
      return;
    }
    default:
      return;
  }
}

void MasterCore::Impl::answer_query(LinkId id, const fb::Frame& frame, const fb::OperatorQuery& query, Now now) {
  if (!query_budget.admits(id, now.mono)) {
    ++probe.queries_shed;
    refuse(id, frame, fb::RefusedCode::Busy, "query",
           "the master is asked more than it answers beside its work; ask again in a second", query.request());
    return;
  }
  std::uint64_t cost = 0;
  fb::OperatorReplyT out;
  out.request = query.request();
  out.subject = query.subject();
  out.epoch = epoch.value();
  out.settled = settled;
  out.version = config.version;
  out.http_port = config.http_port;
  out.uptime_ms = static_cast<std::uint64_t>((now.mono - start).ms());
  out.nodes_total = nodes.count();
  for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
    out.frameworks_total += frameworks[FrameworkIndex{at}].has_left() ? 0U : 1U;
  }
  out.offers_total = ledger.count();
  out.tasks_total = tasks.count();
  const std::string_view name = text_of(query.name());
  const std::uint32_t limit = query.limit() == 0 ? 1000 : std::min(query.limit(), kRowsMax);
  switch (query.subject()) {
    case fb::Subject::Status: {
      Amounts used, offered;
      for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
        const FrameworkEntry& framework = frameworks[FrameworkIndex{at}];
        used.add(framework.used);
        offered.add(framework.offered);
      }
      out.capacity = shape_of(capacity_total.to_resources());
      out.used = shape_of(used.to_resources());
      out.offered = shape_of(offered.to_resources());
      break;
    }
    case fb::Subject::Nodes: {
      // One name is one place.
      const NodeIndex named = name.empty() ? kNoNode : nodes.find(name);
      const std::uint32_t end = name.empty() ? nodes.count() : named == kNoNode ? 0 : named.value() + 1;
      const std::uint64_t after = name.empty() || named == kNoNode ? query.after() : std::max<std::uint64_t>(query.after(), named.value());
      cost = page(out, end, after, limit, [&](std::uint32_t place) {
        const NodeIndex index{place};
        const Node& node = nodes[index];
        auto row = std::make_unique<fb::NodeRowT>();
        row->node = place;
        row->name = node.name;
        row->state = node.state();
        row->capacity = shape_of(ledger.books(index).capacity());
        row->used = shape_of(ledger.books(index).used);
        row->offered = shape_of(ledger.books(index).offered);
        row->tasks = ledger.books(index).tasks;
        row->drain_reason = node.drain_reason;
        row->endpoint = node.endpoint;
        row->switch_name = node.switch_name;
        row->attributes = node.attributes;
        row->seen_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, (now.mono - heard_at(node)).ms()));
        row->version = node.version;
        out.nodes.push_back(std::move(row));
        return true;
      });
      break;
    }
    case fb::Subject::Frameworks:
      cost = page(out, frameworks.count(), query.after(), limit, [&](std::uint32_t place) {
        const FrameworkIndex index{place};
        const FrameworkEntry& framework = frameworks[index];
        if (framework.has_left() || (!name.empty() && framework.name != name)) {
          return false;
        }
        auto row = std::make_unique<fb::FrameworkRowT>();
        row->framework = framework.id.value();
        row->name = framework.name;
        row->role = framework.role;
        row->connected = framework.connected() && !framework.silent;
        row->suppressed = framework.suppressed;
        row->used = shape_of(framework.used.to_resources());
        row->offered = shape_of(framework.offered.to_resources());
        row->tasks = framework.tasks;
        row->offers = ledger.of(index).count;
        row->weight = allocator.weight(index);
        row->dominant_share = allocator.dominant_share(index);
        row->wants = allocator.wants_left(index);
        out.frameworks.push_back(std::move(row));
        return true;
      });
      break;
    case fb::Subject::Offers:
      cost = page(out, ledger.places(), query.after(), limit, [&](std::uint32_t place) {
        if (!ledger.is_open(place)) {
          return false;
        }
        const Offer& offer = ledger.at(place);
        if (!name.empty() && nodes[offer.node].name != name && frameworks[offer.framework].name != name) {
          return false;
        }
        auto row = std::make_unique<fb::OfferRowT>();
        row->offer = std::make_unique<fb::OfferRef>(to_fb(ledger.id_at(place)));
        row->node = nodes[offer.node].name;
        row->framework = frameworks[offer.framework].name;
        row->shape = shape_of(offer.resources);
        row->held = offer.state == OfferState::held;
        row->lease_left_ms =
            static_cast<std::uint64_t>(std::max<std::int64_t>(0, (offer.lease_end - now.mono).ms()));
        out.offers.push_back(std::move(row));
        return true;
      });
      break;
    case fb::Subject::Tasks:
      cost = page(out, tasks.places(), query.after(), limit, [&](std::uint32_t place) {
        if (!tasks.used(place)) {
          return false;
        }
        const Task& task = tasks.at(place);
        if (!name.empty() && nodes[task.node].name != name && frameworks[task.framework].name != name) {
          return false;
        }
        auto row = std::make_unique<fb::TaskRowT>();
        row->attempt = std::make_unique<fb::AttemptId>(to_fb(task.attempt));
        row->framework = frameworks[task.framework].name;
        row->node = nodes[task.node].name;
        row->name = tasks.kind(task).name;
        row->state = static_cast<std::uint8_t>(task.state);
        row->shape = shape_of(tasks.shape(task));
        out.tasks.push_back(std::move(row));
        return true;
      });
      break;
  }
  query_budget.charge(id, cost, now.mono);
  reply(id, pack_frame<fb::OperatorReply>({epoch, {}, 0, 0}, out), fb::Body::OperatorReply);
}

}  // namespace muster::master
