package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// The errors of a [Client]. The server's own sentence follows them in the text and
// is in [RefusedError].
var (
	// ErrNotFound: there is no such application, or no such version of it.
	ErrNotFound = errors.New("not found")
	// ErrExists: the version exists already.
	ErrExists = errors.New("already exists")
	// ErrInvalid: the server refuses the request. Sending it again is useless.
	ErrInvalid = errors.New("request refused")
	// ErrServer: the server could not do it now. The change may have happened; sending
	// the request again is safe and useful.
	ErrServer = errors.New("server failed")
	// ErrNoServer: nobody answers requests on this connection.
	ErrNoServer = errors.New("no wadm server is listening")
	// ErrTimeout: no answer in time. The change may have happened.
	ErrTimeout = errors.New("no answer in time")
)

// ErrNoOwner is what [Deps].Explain returns when nobody answers for the lattice.
var ErrNoOwner = errors.New("no server acts for the lattice")

// RefusedError carries what the server said. It unwraps to one of the errors above.
type RefusedError struct {
	Kind    error
	Message string
}

func (e *RefusedError) Error() string { return e.Kind.Error() + ": " + e.Message }

// Unwrap gives the kind.
func (e *RefusedError) Unwrap() error { return e.Kind }

// refused sorts the sentences of error replies.
func refused(message string) error {
	kind := ErrInvalid
	switch {
	case strings.Contains(message, "already exists"):
		kind = ErrExists
	case strings.Contains(message, "does not have a version"):
		kind = ErrNotFound
	case strings.HasPrefix(message, storageError), strings.HasPrefix(message, "Error notifying processors"),
		strings.HasPrefix(message, "Internal error"), strings.HasPrefix(message, tooMany), message == noOwner:
		kind = ErrServer
	}
	return &RefusedError{Kind: kind, Message: message}
}

// unanswered translates what the connection says of a request.
func unanswered(subject string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("request %s: %w", subject, ErrNoServer)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("request %s: %w", subject, ErrTimeout)
	default:
		return fmt.Errorf("request %s: %w", subject, err)
	}
}
