// Package natstest starts real NATS servers for tests.
//
// [Start] runs one server per test on a random port, with JetStream in the
// test's temporary directory: about 20 ms, so no test has a reason to share one
// or to imitate NATS. [Bubble] runs a server without sockets inside a
// testing/synctest bubble, where hours of expiry and redelivery pass in
// milliseconds. Everything started here is stopped by the test's cleanup.
//
// It is a single server: behaviour of replicas and elections is not covered.
package natstest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/embedded"
)

// restartTimeout bounds how long a restart tries to get its port back.
const restartTimeout = 15 * time.Second

// An Option changes how [Start] or [Bubble] runs the server.
type Option func(testing.TB, *embedded.Config)

// WithoutJetStream runs a server that knows core NATS only.
func WithoutJetStream() Option {
	return func(_ testing.TB, c *embedded.Config) { c.NoJetStream = true }
}

// WithDomain gives JetStream a domain.
func WithDomain(domain string) Option {
	return func(_ testing.TB, c *embedded.Config) { c.Domain = domain }
}

// WithMaxPayload limits the size of a message, in bytes.
func WithMaxPayload(bytes int32) Option {
	return func(_ testing.TB, c *embedded.Config) { c.MaxPayload = bytes }
}

// WithMaxStore limits what JetStream may store in files, in bytes.
func WithMaxStore(bytes int64) Option {
	return func(_ testing.TB, c *embedded.Config) { c.MaxStore = bytes }
}

// WithMaxMemory limits what JetStream may store in memory, in bytes.
func WithMaxMemory(bytes int64) Option {
	return func(_ testing.TB, c *embedded.Config) { c.MaxMemory = bytes }
}

// WithStoreDir keeps JetStream's files in dir instead of a temporary directory.
func WithStoreDir(dir string) Option {
	return func(_ testing.TB, c *embedded.Config) { c.StoreDir = dir }
}

// WithConfigFile reads a configuration file of nats-server first: accounts,
// users, permissions, imports and exports. Host, port and store directory in
// it are overridden.
func WithConfigFile(path string) Option {
	return func(_ testing.TB, c *embedded.Config) { c.ConfigFile = path }
}

// WithConfig is [WithConfigFile] with the text of the file, for example
//
//	accounts {
//	  A { jetstream: enabled, users: [{user: a, password: a}] }
//	}
func WithConfig(text string) Option {
	return func(t testing.TB, c *embedded.Config) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatalf("write server configuration: %v", err)
		}
		c.ConfigFile = path
	}
}

// WithOptions gives adjust the last word on the server's options. Calls add up.
func WithOptions(adjust func(*server.Options)) Option {
	return func(_ testing.TB, c *embedded.Config) {
		before := c.Adjust
		c.Adjust = func(o *server.Options) {
			if before != nil {
				before(o)
			}
			adjust(o)
		}
	}
}

// Server is a NATS server that belongs to one test.
type Server struct {
	*embedded.Server
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, embedded.Config{}, opts)
}

func start(t testing.TB, cfg embedded.Config, opts []Option) *Server {
	t.Helper()
	for _, opt := range opts {
		opt(t, &cfg)
	}
	if cfg.StoreDir == "" && !cfg.NoJetStream {
		cfg.StoreDir = t.TempDir()
	}
	srv, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Server: srv}
	// Not s.Stop itself: a restart replaces the server.
	t.Cleanup(func() { s.Stop() })
	return s
}

// Restart stops the server and starts it again with the same port and the same
// store: file streams are still there, memory streams are gone, clients with
// reconnection find it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	s.StartAgain(t)
}

// StartAgain starts a stopped server with the same port and the same store.
func (s *Server) StartAgain(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(restartTimeout)
	for {
		srv, err := embedded.Start(s.Config())
		if err == nil {
			s.Server = srv
			return
		}
		// Another process may have been given the port for a moment.
		if time.Now().After(deadline) {
			t.Fatalf("restart: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Connect opens a connection that ends with the test. It reconnects for ever
// and quickly, so that it survives [Server.Restart]. Further options, such as
// nats.UserInfo, are applied last.
func (s *Server) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	all := []nats.Option{
		nats.Name(t.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(10 * time.Millisecond),
		nats.ReconnectJitter(5*time.Millisecond, 5*time.Millisecond),
		nats.Timeout(10 * time.Second),
	}
	if s.URL() == "" {
		all = append(all, nats.InProcessServer(s.NATS()))
	}
	nc, err := nats.Connect(s.URL(), append(all, opts...)...)
	if err != nil {
		t.Fatalf("connect to test server: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// JetStream opens a connection as [Server.Connect] does and returns its
// JetStream handle.
func (s *Server) JetStream(t testing.TB, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(s.Connect(t, opts...))
	if err != nil {
		t.Fatalf("open JetStream: %v", err)
	}
	return js
}
