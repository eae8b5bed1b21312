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
                                                       {"%reserved_smem_offset_1", Special::reservedSmem},
                                                       // Where cooperative groups look for their grid.
                                                       {"%envreg1", Special::gridWorkspaceHigh},
                                                       {"%envreg2", Special::gridWorkspaceLow}};
  const auto found = names.find(name);
  if (found != names.end()) return &found->second;
  // The other registers of the driver and those of a profiler, which set none here.
  static const Special zero = Special::immediate;
  return name.rfind("%envreg", 0) == 0 || name.rfind("%pm", 0) == 0 ? &zero : nullptr;
}

}  // namespace warploom::cudasim
