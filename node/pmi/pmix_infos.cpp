#include "node/pmi/pmix_infos.hpp"

namespace muster::node {

PmixInfos::~PmixInfos() {
  for (pmix_info_t& info : infos_) {
    PMIX_INFO_DESTRUCT(&info);
  }
}

void PmixInfos::load(const char* key, const void* value, pmix_data_type_t type) {
  pmix_info_t& info = infos_.emplace_back();
  PMIX_INFO_CONSTRUCT(&info);
  PMIX_INFO_LOAD(&info, key, value, type);
}

void PmixInfos::add(const char* key, const std::string& text) { load(key, text.c_str(), PMIX_STRING); }
void PmixInfos::add(const char* key, bool yes) { load(key, &yes, PMIX_BOOL); }
void PmixInfos::add(const char* key, std::uint16_t number) { load(key, &number, PMIX_UINT16); }
void PmixInfos::add(const char* key, std::uint32_t number) { load(key, &number, PMIX_UINT32); }
void PmixInfos::add_rank(const char* key, std::uint32_t rank) { load(key, &rank, PMIX_PROC_RANK); }
void PmixInfos::add_regex(const char* key, const char* regex) { load(key, regex, PMIX_REGEX); }

void PmixInfos::add_array(const char* key, PmixInfos inner) {
  pmix_data_array_t array{};
  array.type = PMIX_INFO;
  array.size = inner.size();
  array.array = inner.data();
  load(key, &array, PMIX_DATA_ARRAY);  // copies
}

}  // namespace muster::node
