// The addon's entry: one Environment for each Node-API environment, torn down by its cleanup hook.
#include "binding/environment.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* environment = new warploom::binding::Environment(env);
  // The hook runs while JavaScript's heap still stands: streams stop before any buffer they write to can go away. The
  // object itself goes with the instance data, after the last finalizer.
  env.AddCleanupHook([environment] { environment->shutDown(); });
  env.SetInstanceData(environment);
  warploom::binding::defineFunctions(env, exports, *environment);
  return exports;
}

}  // namespace

NODE_API_MODULE(warploom, initialise)
