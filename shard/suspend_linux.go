package shard

import (
	"time"

	"golang.org/x/sys/unix"
)

// suspended gives how long the machine has been suspended since it was started.
// The clock that Go reckons with stands still during suspension; only this one
// tells. false: it cannot be told.
func suspended() (time.Duration, bool) {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0, false
	}
	return time.Duration(boot.Nano() - mono.Nano()), true
}
