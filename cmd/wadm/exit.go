package main

import (
	"errors"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/telemetry"
)

// Exit codes. Supervisors and scripts rely on them: 0 is only ever an orderly
// stop.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 6
	exitUnreachable = 9
)

// exitCode tells which code an error ends the process with.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, config.ErrUsage):
		return exitUsage
	case errors.Is(err, config.ErrInvalid), errors.Is(err, natsconn.ErrConfig), errors.Is(err, telemetry.ErrTracing):
		return exitInvalid
	case errors.Is(err, natsconn.ErrUnreachable):
		return exitUnreachable
	default:
		return exitFailed
	}
}
