#include "cudasim/ptx/special.h"

#include <map>

namespace warploom::cudasim {

const Special* findSpecial(const std::string& name) {
  static const std::map<std::string, Special> names = {{"%tid.x", Special::tidX},
                                                       {"%tid.y", Special::tidY},
                                                       {"%tid.z", Special::tidZ},
                                                       {"%ntid.x", Special::ntidX},
                                                       {"%ntid.y", Special::ntidY},
                                                       {"%ntid.z", Special::ntidZ},
                                                       {"%ctaid.x", Special::ctaidX},
                                                       {"%ctaid.y", Special::ctaidY},
                                                       {"%ctaid.z", Special::ctaidZ},
                                                       {"%nctaid.x", Special::nctaidX},
                                                       {"%nctaid.y", Special::nctaidY},
                                                       {"%nctaid.z", Special::nctaidZ},
                                                       {"%laneid", Special::laneid},
                                                       {"%warpid", Special::warpid},
                                                       {"%nwarpid", Special::nwarpid},
                                                       {"%smid", Special::smid},
                                                       {"%nsmid", Special::nsmid},
                                                       {"%gridid", Special::gridid},
                                                       {"%lanemask_eq", Special::lanemaskEq},
                                                       {"%lanemask_le", Special::lanemaskLe},
                                                       {"%lanemask_lt", Special::lanemaskLt},
                                                       {"%lanemask_ge", Special::lanemaskGe},
                                                       {"%lanemask_gt", Special::lanemaskGt},
                                                       {"%dynamic_smem_size", Special::dynamicSmemSize},
                                                       {"%total_smem_size", Special::totalSmemSize},
                                                       {"%reserved_smem_offset_1", Special::reservedSmem}};
  // Registers of the driver and of a profiler, which set none here.
  static const Special zero = Special::immediate;
  if (name.rfind("%envreg", 0) == 0 || name.rfind("%pm", 0) == 0) return &zero;
  const auto found = names.find(name);
  return found == names.end() ? nullptr : &found->second;
}

}  // namespace warploom::cudasim
