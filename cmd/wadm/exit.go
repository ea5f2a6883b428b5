package main

import (
	"errors"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/telemetry/otlp"
	"wadm/tenancy/catalog"
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

// errNotAdoptable: the bucket of another server holds what cannot be told, so
// every further start would fail as well until somebody has looked at it.
var errNotAdoptable = errors.New("the bucket of another server cannot be adopted as it is, and was left as it is")

// exitCode tells which code an error ends the process with.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, config.ErrUsage):
		return exitUsage
	case errors.Is(err, config.ErrInvalid), errors.Is(err, natsconn.ErrConfig), errors.Is(err, otlp.ErrConfig),
		errors.Is(err, errNotAdoptable), errors.Is(err, catalog.ErrLost):
		return exitInvalid
	case errors.Is(err, natsconn.ErrUnreachable):
		return exitUnreachable
	default:
		return exitFailed
	}
}
