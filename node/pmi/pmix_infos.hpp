// A list of PMIx's typed key-values.
#pragma once

#include <pmix.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace muster::node {

// Value type, owned by one thread. Frees what libpmix has copied into it.
class PmixInfos {
 public:
  PmixInfos() = default;
  PmixInfos(PmixInfos&& other) noexcept : infos_(std::exchange(other.infos_, {})) {}
  PmixInfos& operator=(PmixInfos&&) = delete;
  ~PmixInfos();

  void add(const char* key, const std::string& text);
  void add(const char* key, const char* text) { add(key, std::string(text)); }
  void add(const char* key, bool yes);
  void add(const char* key, std::uint16_t number);
  void add(const char* key, std::uint32_t number);
  void add_rank(const char* key, std::uint32_t rank);
  // What PMIx_generate_regex and _ppn make; large ones have zero bytes in them, so libpmix alone knows their length.
  void add_regex(const char* key, const char* regex);
  void add_array(const char* key, PmixInfos inner);

  [[nodiscard]] pmix_info_t* data() { return infos_.data(); }
  [[nodiscard]] std::size_t size() const { return infos_.size(); }

 private:
  void load(const char* key, const void* value, pmix_data_type_t type);
  std::vector<pmix_info_t> infos_;
};

}  // namespace muster::node
