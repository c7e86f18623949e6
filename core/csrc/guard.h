// Exceptions stay on this side of the boundary: they become text.
#pragma once
#include "abi.h"

#include <c10/util/Exception.h>

template <class Work>
Status guarded(Sink error, Work&& work) {
    try {
        work();
        return OK;
    } catch (const c10::Error& e) {
        error.put(e.what_without_backtrace());
    } catch (const std::exception& e) {
        error.put(e.what());
    } catch (...) {
        error.put("an exception that says nothing about itself");
    }
    return FAILED;
}
