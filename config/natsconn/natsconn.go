// Package natsconn opens the connections to NATS, for servers and tools alike.
// It is the only place outside tests that calls nats.Connect, so that
// credentials, liveness and reconnection are the same everywhere.
//
// A connection reconnects for ever. Loss is noticed by the TCP stack or, when
// the peer is mute, after two unanswered pings. What is published while
// disconnected is kept and sent later, except on connections with NoBuffer
// set: there it fails at once, because a command that leaves late may leave
// after its lattice has another owner.
//
// Beside that it holds what every user of JetStream needs when NATS comes and goes:
// [Insist] asks again, [KeepStreams] keeps streams, [Follow] follows one.
//
// Test users of a connection with package natstest.
package natsconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrConfig means that the settings cannot be used: an unreadable file, a
	// malformed seed. Trying again changes nothing.
	ErrConfig = errors.New("unusable connection settings")
	// ErrUnreachable means that no server accepted the connection within the
	// start timeout. The error also wraps the last reason.
	ErrUnreachable = errors.New("NATS is not reachable")
)

// Config says where to connect and as whom. The zero value connects to the
// local server without credentials.
type Config struct {
	// Server is a host, host:port or URL, or several separated by commas. User
	// and password in it are used unless other credentials are given.
	Server string
	// Seed is the seed of an nkey, or the path of a file that holds it. Without
	// JWT it authenticates by itself.
	Seed string
	// JWT is a user JWT or the path of a file that holds it; needs Seed. A file
	// is read again at every reconnect.
	JWT string
	// CredsFile is the path of a credentials file, read at every reconnect.
	CredsFile string
	// TLSCAFile is the path of root certificates in PEM; it makes TLS a must.
	TLSCAFile string
	// Domain is the JetStream domain; empty means none.
	Domain string
	// Name is shown by the server's monitoring. Empty means wadm.
	Name string
	// InboxPrefix starts the subjects on which replies arrive. Empty means _INBOX.
	InboxPrefix string
	// StartTimeout is how long Connect tries. 0 means 30 s.
	StartTimeout time.Duration
	// PingInterval is the time between pings, of which two may stay
	// unanswered. 0 means 2 s. Below 500 ms, a busy machine loses
	// connections for no reason; the longer, the later a mute server is noticed.
	PingInterval time.Duration
	// NoBuffer makes publishing fail while disconnected, for commands.
	NoBuffer bool
	// InProcess connects to an embedded server without a socket.
	InProcess nats.InProcessConnProvider
	// Options are applied last.
	Options []nats.Option
}

// WithDefaults returns a copy of c in which what was left out has a value.
func (c Config) WithDefaults() Config {
	c.Server = cmp.Or(c.Server, "127.0.0.1:4222")
	c.Name = cmp.Or(c.Name, "wadm")
	c.InboxPrefix = cmp.Or(c.InboxPrefix, nats.InboxPrefix[:len(nats.InboxPrefix)-1])
	c.StartTimeout = cmp.Or(c.StartTimeout, 30*time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, 2*time.Second)
	return c
}

// Validate reports every mistake in c that can be seen without a server. It
// expects defaults to be filled in.
func (c Config) Validate() error {
	var errs []error
	if c.JWT != "" && c.Seed == "" {
		errs = append(errs, errors.New("a JWT needs the seed of its user"))
	}
	if c.CredsFile != "" && (c.JWT != "" || c.Seed != "") {
		errs = append(errs, errors.New("a credentials file cannot be used together with seed or JWT"))
	}
	if c.PingInterval < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("ping interval %v is below 100ms", c.PingInterval))
	}
	if c.StartTimeout < 0 {
		errs = append(errs, fmt.Errorf("start timeout %v is negative", c.StartTimeout))
	}
	return errors.Join(errs...)
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 2 * time.Second

// Conn is a connection with its JetStream handle.
type Conn struct {
	*nats.Conn
	js jetstream.JetStream
}

// JetStream is the handle for streams and buckets, in the configured domain.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Check returns nil when the connection is up, and otherwise why it is not. It
// is a readiness check: it asks the client, not the server, and never blocks.
func (c *Conn) Check(context.Context) error {
	status := c.Status()
	if status == nats.CONNECTED {
		return nil
	}
	if err := c.LastError(); err != nil {
		return fmt.Errorf("connection to NATS is %s: %w", status, err)
	}
	return fmt.Errorf("connection to NATS is %s", status)
}

// Connect opens a connection. It tries until it succeeds, the start timeout
// passes ([ErrUnreachable]), the settings prove unusable ([ErrConfig]) or ctx
// ends (its cause). A refused user is tried again as well: servers
// that just started may not know their accounts yet. A nil log drops what it is told.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w: %w", ErrConfig, err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	opts, urls, err := cfg.options(log)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w: %w", ErrConfig, err)
	}
	nc, err := dial(ctx, urls, opts, cfg.StartTimeout, log.With("connection", cfg.Name))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := newJetStream(nc, cfg.Domain)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w: %w", ErrConfig, err)
	}
	log.Info("connected to NATS", "connection", cfg.Name, "url", nc.ConnectedUrlRedacted(), "server", nc.ConnectedServerName())
	return &Conn{Conn: nc, js: js}, nil
}

func newJetStream(nc *nats.Conn, domain string) (jetstream.JetStream, error) {
	if domain != "" {
		return jetstream.NewWithDomain(nc, domain)
	}
	return jetstream.New(nc)
}

// dial tries until it is connected. The client's own retry on a failed first
// connect is not used: it returns a connection that may never come up, and
// hides why.
func dial(ctx context.Context, urls string, opts []nats.Option, timeout time.Duration, log *slog.Logger) (*nats.Conn, error) {
	deadline := time.Now().Add(timeout)
	said := ""
	for attempt := 0; ; attempt++ {
		nc, err := nats.Connect(urls, opts...)
		if err == nil {
			if ctx.Err() != nil {
				nc.Close()
				return nil, context.Cause(ctx)
			}
			return nc, nil
		}
		wait := reconnectDelay(attempt)
		if left := time.Until(deadline); left < wait {
			return nil, fmt.Errorf("%w (tried for %v): %w", ErrUnreachable, timeout, err)
		}
		// Once per reason, not once per attempt.
		if err.Error() != said {
			said = err.Error()
			log.Warn("cannot connect to NATS yet, trying on", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// reconnectDelay is the pause before the next round through the servers. It
// stays short, because every lattice waits for it, and is spread, because
// every instance lost the same server at the same time.
func reconnectDelay(attempts int) time.Duration {
	d := 20 * time.Millisecond << min(attempts, 5)
	d = min(d, 500*time.Millisecond)
	return d/2 + rand.N(d)
}
