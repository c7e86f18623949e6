// Autocast of one device type with a dtype, for the thread that turns it on.
#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

extern "C" {

// Turns autocast on; what was there before goes to `was_on` and `was_dtype`.
Status trainer_autocast_enter(int32_t type, int32_t dtype, bool* was_on, int32_t* was_dtype, Sink error) {
    return guarded(error, [&] {
        auto device = static_cast<c10::DeviceType>(type);
        *was_on = at::autocast::is_autocast_enabled(device);
        *was_dtype = static_cast<int32_t>(at::autocast::get_autocast_dtype(device));
        at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(dtype));
        at::autocast::set_autocast_enabled(device, true);
        at::autocast::increment_nesting();
    });
}

// Puts back what was there; the last to leave forgets the weights that were cast.
void trainer_autocast_leave(int32_t type, bool was_on, int32_t was_dtype) {
    auto device = static_cast<c10::DeviceType>(type);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, was_on);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(was_dtype));
}
}
