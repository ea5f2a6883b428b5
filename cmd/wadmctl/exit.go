package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// The exit codes, a promise to scripts: docs/reference/exit-codes.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 4
	exitConflict    = 5
	exitInvalid     = 6
	exitAppFailed   = 7
	exitTimeout     = 8
	exitUnreachable = 9
	exitRefused     = 10
	exitInterrupted = 130
)

// exitCodesHelp is the table of the help text.
const exitCodesHelp = `Exit codes:
  0   done, or nothing to do
  1   failed
  2   wrong usage
  4   not found
  5   conflict: the version exists with other content
  6   a manifest or configuration that is invalid or cannot be read
  7   the application failed
  8   time ran out while waiting
  9   NATS cannot be reached, or nobody answers
  10  refused: permission or quota
  130 interrupted`

// failure is an error with everything the user should be told.
type failure struct {
	code  int
	what  string // one line: what could not be done
	cause error  // may be nil
	hint  string // may be empty
}

func (f *failure) Error() string {
	if f.cause == nil {
		return f.what
	}
	return f.what + ": " + f.cause.Error()
}

func (f *failure) Unwrap() error { return f.cause }

// seeHelp is the hint at the help of the command at hand, which Run puts in.
const seeHelp = "see --help"

// usagef is a mistake in how the program was called.
func usagef(format string, args ...any) error {
	return &failure{code: exitUsage, what: fmt.Sprintf(format, args...), hint: seeHelp}
}

// failed says what could not be done and derives code and hint from the cause.
// A cause that says all this already passes through.
func failed(what string, cause error) error {
	if known, ok := errors.AsType[*failure](cause); ok {
		return known
	}
	f := &failure{code: exitFailed, what: what, cause: cause}
	var refused *api.RefusedError
	switch {
	case errors.Is(cause, context.Canceled):
		f.code, f.what, f.cause = exitInterrupted, "interrupted", nil
	case errors.As(cause, &refused) && strings.HasPrefix(refused.Message, "quota:"):
		f.code, f.hint = exitRefused, "ask whoever runs wadm for more room, or delete what is not needed"
	case errors.Is(cause, api.ErrNotFound):
		f.code, f.hint = exitNotFound, "see 'wadmctl app list' and 'wadmctl app history NAME'; is it in another lattice (-x)?"
	case errors.Is(cause, api.ErrExists):
		f.code, f.hint = exitConflict, "give the manifest a new version annotation, or use 'wadmctl app deploy FILE --replace'"
	case errors.Is(cause, tenancy.ErrBadName):
		f.code = exitUsage
	case errors.Is(cause, api.ErrInvalid):
		f.code, f.hint = exitInvalid, "check the manifest with 'wadmctl app validate FILE'"
	case errors.Is(cause, api.ErrServer):
		f.hint = "it is safe to try again"
	case errors.Is(cause, api.ErrNoServer):
		f.code, f.hint = exitUnreachable, "NATS answers, but no wadm serves this lattice: start one with 'wadm -s ADDRESS', or check account and -x"
	case errors.Is(cause, api.ErrTimeout):
		f.code, f.hint = exitUnreachable, "the request may have been done; try again with a longer --timeout"
	case errors.Is(cause, nats.ErrAuthorization), errors.Is(cause, nats.ErrAuthExpired), errors.Is(cause, nats.ErrPermissionViolation):
		f.code, f.hint = exitRefused, "check the credentials (--ctl-credsfile, --ctl-seed and --ctl-jwt, or --nats-context)"
	case errors.Is(cause, natsconn.ErrConfig):
		f.code, f.hint = exitInvalid, "check the connection flags and variables"
	case errors.Is(cause, natsconn.ErrUnreachable), errors.Is(cause, nats.ErrNoServers):
		f.code, f.hint = exitUnreachable, "is NATS running there? 'wadm dev' starts one; -s, -r and -p say where it is"
	}
	// What the server said is enough; its kind is told by the code.
	if refused != nil {
		f.cause = errors.New(refused.Message)
	}
	return f
}
