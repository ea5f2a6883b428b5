// Package natskv keeps package shard's records in NATS: the registry in the
// key-value bucket wadm_lattices, claims in the stream wadm_ledger.
//
// Claims live in the same stream as what owners write, because the condition
// that fences an owner is evaluated inside one stream. A claim replaces its
// predecessor on the subject; nothing ages it out.
//
// Objects are created when they do not exist. An object that exists with other
// settings is reported with the exact difference and left alone.
package natskv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// Names of the objects, when the configuration does not say otherwise.
const (
	DefaultLedger   = "wadm_ledger"
	DefaultLattices = "wadm_lattices"
)

// ErrDiffers is wrapped by the error that names every setting of an existing
// object that is not as it should be.
var ErrDiffers = errors.New("exists with other settings")

// Config tunes Store. The zero value works on one server.
type Config struct {
	// Ledger and Lattices name the objects; defaults wadm_ledger and wadm_lattices.
	Ledger, Lattices string
	// Replicas of every object: 1 (default), 3 or 5. With 1, losing a server loses
	// who owned what: every key is claimed anew, and commands in doubt are forgotten.
	Replicas int
	// Storage of the ledger and the registry: file (default) or memory. With
	// memory, a restart of the only server forgets the registry.
	Storage jetstream.StorageType
	// LedgerBytes bounds the ledger, in bytes; default 1 GiB, 128 MiB in memory.
	// The server sets them aside when the stream is created. A full ledger
	// refuses claims and commands: nothing is acted on until it is raised.
	LedgerBytes int64
	// Domain is the JetStream domain, empty for none.
	Domain string
	// Timeout bounds requests made without a deadline of their own; default 5 s.
	Timeout time.Duration
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	if c.Ledger == "" {
		c.Ledger = DefaultLedger
	}
	if c.Lattices == "" {
		c.Lattices = DefaultLattices
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.LedgerBytes == 0 {
		c.LedgerBytes = ledgerBytes(c.Storage)
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	return c
}

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Replicas < 1 || c.Replicas > 5 || c.Replicas%2 == 0:
		return fmt.Errorf("natskv: replicas must be 1, 3 or 5, not %d", c.Replicas)
	case c.LedgerBytes < 0 && c.LedgerBytes != -1:
		return fmt.Errorf("natskv: ledger bytes must be positive, or -1 for no limit, not %d", c.LedgerBytes)
	case c.Timeout < 0:
		return fmt.Errorf("natskv: timeout must not be negative: %s", c.Timeout)
	}
	return nil
}

// Store implements the ports of package shard over one connection.
type Store struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	cfg    Config
	ledger jetstream.Stream
	lat    jetstream.KeyValue
}

var (
	_ shard.Registry = (*Registry)(nil)
	_ shard.Claims   = (*Store)(nil)
)

// Open creates what is missing and binds to it. An existing object with other
// settings gives an error that wraps ErrDiffers and names every difference.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	js, err := openJetStream(nc, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{nc: nc, js: js, cfg: cfg}
	want := LedgerConfig(cfg.Ledger, cfg.Replicas, cfg.Storage)
	want.MaxBytes = cfg.LedgerBytes
	if s.ledger, err = EnsureStream(ctx, js, want); err != nil {
		return nil, err
	}
	if s.lat, err = ensureBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket:      cfg.Lattices,
		Description: "every lattice that must have an owner",
		History:     1,
		Storage:     cfg.Storage,
		Replicas:    cfg.Replicas,
	}); err != nil {
		return nil, err
	}
	return s, nil
}

func openJetStream(nc *nats.Conn, cfg Config) (jetstream.JetStream, error) {
	timeout := jetstream.WithDefaultTimeout(cfg.Timeout)
	if cfg.Domain != "" {
		return jetstream.NewWithDomain(nc, cfg.Domain, timeout)
	}
	return jetstream.New(nc, timeout)
}
