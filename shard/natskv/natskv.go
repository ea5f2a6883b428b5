// Package natskv keeps package shard's records in NATS: the registry,
// the members and the view in key-value buckets, claims in the stream
// wadm_ledger. Heartbeats are plain messages: they must flow when JetStream does not.
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
	DefaultMembers  = "wadm_members"
	DefaultView     = "wadm_view"
	DefaultBeats    = "wadm.beat"
)

// ErrDiffers is wrapped by the error that names every setting of an existing
// object that is not as it should be.
var ErrDiffers = errors.New("exists with other settings")

// Config tunes Store. The zero value works on one server.
type Config struct {
	// Ledger, Lattices, Members and View name the objects; defaults wadm_ledger,
	// wadm_lattices, wadm_members and wadm_view.
	Ledger, Lattices, Members, View string
	// Beats is the subject under which instances send heartbeats; default wadm.beat.
	Beats string
	// MemberTTL is the life of a membership record that is not refreshed, in whole
	// seconds; default 15 s. It must exceed an election of the store (9 s) by two refreshes.
	MemberTTL time.Duration
	// Replicas of every object: 1 (default), 3 or 5. With 1, losing a server loses
	// who owned what: every key is claimed anew, and commands in doubt are forgotten.
	Replicas int
	// Storage of the ledger and the registry: file (default) or memory. With
	// memory, a restart of the only server forgets the registry.
	Storage jetstream.StorageType
	// LedgerBytes bounds the ledger, in bytes; default -1, no limit of its own. The
	// server sets a limit aside when the stream is created, and a full ledger
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
	if c.Members == "" {
		c.Members = DefaultMembers
	}
	if c.View == "" {
		c.View = DefaultView
	}
	if c.Beats == "" {
		c.Beats = DefaultBeats
	}
	if c.MemberTTL == 0 {
		c.MemberTTL = 15 * time.Second
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.LedgerBytes == 0 {
		c.LedgerBytes = -1
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
	case c.MemberTTL < time.Second || c.MemberTTL%time.Second != 0:
		return fmt.Errorf("natskv: member TTL must be whole seconds, not %s", c.MemberTTL)
	case c.Timeout < 0:
		return fmt.Errorf("natskv: timeout must not be negative: %s", c.Timeout)
	}
	return nil
}

// Store implements the ports of package shard over one connection.
type Store struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	cfg     Config
	ledger  jetstream.Stream
	lat     jetstream.KeyValue
	members jetstream.KeyValue
	view    jetstream.KeyValue
}

var (
	_ shard.Registry = (*Registry)(nil)
	_ shard.Claims   = (*Store)(nil)
	_ shard.Members  = (*Store)(nil)
	_ shard.Views    = (*Store)(nil)
	_ shard.Beats    = (*Store)(nil)
	_ shard.Ledger   = (*Store)(nil)
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
	for _, b := range []struct {
		into *jetstream.KeyValue
		want jetstream.KeyValueConfig
	}{
		{&s.lat, jetstream.KeyValueConfig{
			Bucket: cfg.Lattices, Description: "every lattice that must have an owner", History: 1,
		}},
		{&s.members, jetstream.KeyValueConfig{
			Bucket: cfg.Members, Description: "instances; refreshed or gone", History: 1,
			// Without the marker nobody would be told of an expiry.
			TTL: cfg.MemberTTL, LimitMarkerTTL: time.Hour,
		}},
		{&s.view, jetstream.KeyValueConfig{
			Bucket: cfg.View, Description: "who shares the lattices, as agreed", History: 16,
		}},
	} {
		b.want.Storage, b.want.Replicas = cfg.Storage, cfg.Replicas
		if *b.into, err = ensureBucket(ctx, js, b.want); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Ports gives everything package shard needs.
func (s *Store) Ports() shard.Ports {
	return shard.Ports{Registry: s.Registry(), Claims: s, Members: s, Views: s, Beats: s, Ledger: s}
}

func openJetStream(nc *nats.Conn, cfg Config) (jetstream.JetStream, error) {
	timeout := jetstream.WithDefaultTimeout(cfg.Timeout)
	if cfg.Domain != "" {
		return jetstream.NewWithDomain(nc, cfg.Domain, timeout)
	}
	return jetstream.New(nc, timeout)
}

// JetStream gives the handle the store works with.
func (s *Store) JetStream() jetstream.JetStream { return s.js }
