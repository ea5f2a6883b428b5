// Package embedded runs a NATS server with JetStream inside the process.
//
// It serves two callers: `wadm dev`, which needs a NATS server on a machine that
// has none, and package natstest, which starts one per test. It is a single
// server without routes or gateways, so it proves nothing about replicas or
// elections; everything else is the real server, not an imitation.
//
// The server never touches process signals and writes no log unless a logger
// is given.
package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// RandomPort asks for any free port.
const RandomPort = server.RANDOM_PORT

// readyTimeout bounds the wait for a started server. It takes milliseconds on
// an idle machine; a machine that builds something else at once is slower.
const readyTimeout = 30 * time.Second

// ErrNotReady is returned when the server did not accept connections in time.
var ErrNotReady = errors.New("server does not accept connections")

// Config says how to run the server. The zero value listens on a random port
// of the loopback interface and needs only StoreDir.
type Config struct {
	// Host is the address to listen on; empty means 127.0.0.1.
	Host string
	// Port is the port to listen on. 0 and [RandomPort] mean any free port.
	Port int
	// StoreDir holds JetStream's files. It must be given unless NoJetStream is set.
	StoreDir string
	// NoJetStream switches JetStream off.
	NoJetStream bool
	// Domain is JetStream's domain; empty means none.
	Domain string
	// MaxMemory and MaxStore limit JetStream, in bytes; 0 means 1 GiB and 16 GiB.
	MaxMemory, MaxStore int64
	// MaxPayload limits a message, in bytes; 0 means the server's default of 1 MiB.
	MaxPayload int32
	// ConfigFile is a configuration file of nats-server, read before the fields
	// above are applied. Accounts and users come from there.
	ConfigFile string
	// InProcessOnly opens no socket: clients connect through [Server.NATS].
	InProcessOnly bool
	// Logger takes the server's log; nil drops it.
	Logger *slog.Logger
	// Adjust, when set, has the last word on the server's options.
	Adjust func(*server.Options)
}

// WithDefaults returns a copy of c in which what was left out has a value.
func (c Config) WithDefaults() Config {
	c.Host = cmp.Or(c.Host, "127.0.0.1")
	c.Port = cmp.Or(c.Port, RandomPort)
	c.MaxMemory = cmp.Or(c.MaxMemory, 1<<30)
	c.MaxStore = cmp.Or(c.MaxStore, 16<<30)
	return c
}

// Validate reports every mistake in c.
func (c Config) Validate() error {
	var errs []error
	if !c.NoJetStream && c.StoreDir == "" {
		errs = append(errs, errors.New("store directory is missing: JetStream needs one"))
	}
	if c.Port < RandomPort || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is out of range", c.Port))
	}
	if c.MaxPayload < 0 {
		errs = append(errs, fmt.Errorf("max payload %d is negative", c.MaxPayload))
	}
	return errors.Join(errs...)
}

// options turns c into what the server understands.
func (c Config) options() (*server.Options, error) {
	opts := &server.Options{}
	if c.ConfigFile != "" {
		var err error
		if opts, err = server.ProcessConfigFile(c.ConfigFile); err != nil {
			return nil, fmt.Errorf("read server configuration: %w", err)
		}
	}
	opts.Host, opts.Port = c.Host, c.Port
	opts.DontListen = c.InProcessOnly
	opts.NoSigs = true
	if !c.NoJetStream {
		opts.JetStream = true
		opts.StoreDir = c.StoreDir
		// Explicit limits: by default the server asks the machine for its
		// free memory and disk, which makes one machine differ from another.
		opts.JetStreamMaxMemory = c.MaxMemory
		opts.JetStreamMaxStore = c.MaxStore
		if c.Domain != "" {
			opts.JetStreamDomain = c.Domain
		}
	}
	if c.MaxPayload > 0 {
		opts.MaxPayload = c.MaxPayload
	}
	if c.Adjust != nil {
		c.Adjust(opts)
	}
	return opts, nil
}

// Server is a running NATS server.
type Server struct {
	cfg  Config
	nats *server.Server
	url  string
}

// Start runs a server and returns when it accepts connections.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	cfg = cfg.WithDefaults()
	opts, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	fatal := make(chan string, 1)
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv.SetLoggerV2(slogAdapter{log, fatal}, false, false, false)
	srv.Start()
	if err := awaitReady(srv, fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	s := &Server{cfg: cfg, nats: srv}
	if !opts.DontListen {
		s.url = srv.ClientURL()
		// Kept for Config, so that starting again from it finds the same clients.
		if addr, ok := srv.Addr().(*net.TCPAddr); ok {
			s.cfg.Port = addr.Port
		}
	}
	return s, nil
}

// awaitReady waits until srv accepts connections or says why it never will.
func awaitReady(srv *server.Server, fatal <-chan string) error {
	const step = 250 * time.Millisecond
	for waited := time.Duration(0); waited < readyTimeout; waited += step {
		if srv.ReadyForConnections(step) {
			return nil
		}
		select {
		case why := <-fatal:
			return fmt.Errorf("%w: %s", ErrNotReady, why)
		default:
		}
	}
	return ErrNotReady
}

// URL is where clients connect, such as "nats://127.0.0.1:4222". It is empty
// when the server opens no socket.
func (s *Server) URL() string { return s.url }

// NATS is the server itself, for in-process connections and for tests that
// look inside or cut a connection.
func (s *Server) NATS() *server.Server { return s.nats }

// Config is the configuration in force, with the actual port filled in:
// starting another server with it after [Server.Stop] is a restart.
func (s *Server) Config() Config { return s.cfg }

// Stop ends the server and waits until its goroutines have ended and its files
// are closed. Stopping twice is harmless.
func (s *Server) Stop() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}
