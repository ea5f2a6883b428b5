package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config is the configuration of a server. The zero value of every field means
// its default; see [Config.WithDefaults].
type Config struct {
	// InstanceID names this process among its like; unique, 1 to 64 letters, digits, _ or -.
	// Two processes with one id would take each other for restarts of
	// themselves. Empty: HostID, else one is made up at start.
	InstanceID string
	// HostID is upstream's name for the id of the process.
	HostID string
	// MaxJobs has no effect; see [Option].Ignored.
	MaxJobs int
	// Multitenant serves many tenants, each with its account prefix.
	Multitenant bool
	// CleanupInterval has no effect; see [Option].Ignored.
	CleanupInterval time.Duration
	// DrainTimeout is how long an orderly stop may take to hand lattices over.
	// Too short, and others must wait for the claims to be stolen; longer than
	// the supervisor's grace period, and the process is killed half-way.
	DrainTimeout time.Duration

	Log      Log
	Tracing  Tracing
	Admin    Admin
	NATS     NATS
	API      API
	Storage  Storage
	Events   Events
	Commands Commands
}

// Log says what is logged and how. Logs go to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is text or json; empty leaves it to Structured.
	Format string
	// Structured is upstream's switch for JSON lines.
	Structured bool
}

// JSON reports whether log lines are JSON objects.
func (l Log) JSON() bool { return l.Format == "json" || l.Format == "" && l.Structured }

// Tracing says whether and where traces are sent. The standard OTEL_ variables
// are honoured too and win.
type Tracing struct {
	// Enabled turns traces on.
	Enabled bool
	// Endpoint is the OTLP/HTTP receiver; setting it turns traces on.
	Endpoint string
}

// Admin is the HTTP endpoint for probes, metrics and read-only pages.
type Admin struct {
	// Address is ip:port; empty means no endpoint. Port 0 takes a free one.
	Address string
}

// NATS says how to reach the NATS servers.
type NATS struct {
	// Server is one URL or several separated by commas; scheme and port are
	// optional; user and password in it are used unless credentials are given.
	Server string
	// Seed and JWT are the literal or the path of a file holding it.
	Seed, JWT string
	// CredsFile is the path of a credentials file.
	CredsFile string
	// TLSCAFile is the path of root certificates; setting it requires TLS.
	TLSCAFile string
	// JetStreamDomain is the domain of the streams; empty means none.
	JetStreamDomain string
	// InboxPrefix is the first part of the subjects on which replies arrive.
	// Accounts with narrow permissions need one of their own.
	InboxPrefix string
	// StartTimeout is how long the start waits for NATS before it gives up.
	StartTimeout time.Duration
}

// API says where requests of clients arrive and where they may be answered.
type API struct {
	// Prefix is the subject in front of lattice and operation.
	Prefix string
	// ReplyPrefixes are the first words of subjects that may be replied to besides the
	// usual inboxes, separated by commas. A client whose inbox is missing gets no
	// answer; one that is more than an inbox lets callers publish there in our name.
	ReplyPrefixes string
}

// Inboxes are the single ReplyPrefixes.
func (a API) Inboxes() []string {
	if a.ReplyPrefixes == "" {
		return nil
	}
	prefixes := strings.Split(a.ReplyPrefixes, ",")
	for i, p := range prefixes {
		prefixes[i] = trimSubject(p)
	}
	return prefixes
}

// Storage says how streams and buckets are made.
type Storage struct {
	// Replicas is the number of copies of every stream: 1, 3 or 5. More than one
	// needs a NATS cluster of at least that size. With one, losing a disk loses everything.
	Replicas int
	// Persistence is file or memory; memory loses everything when NATS restarts.
	Persistence string
	// StreamPrefix is put in front of stream names; see [Storage.Stream].
	StreamPrefix string
	// ManifestBucket is upstream's bucket, read on adoption. StateBucket has no
	// effect; see [Option].Ignored.
	StateBucket, ManifestBucket string

	// Limits in bytes; -1 is none. Those of the state bucket and of the streams of
	// commands, consumed events and notifications have no effect.
	StateBucketMaxBytes         int64
	ManifestBucketMaxBytes      int64
	CommandStreamMaxBytes       int64
	EventStreamMaxBytes         int64
	EventConsumerStreamMaxBytes int64
	StatusStreamMaxBytes        int64
	NotifyStreamMaxBytes        int64
	WasmbusEventStreamMaxBytes  int64
}

// Stream is the full name of the stream called base. JetStream refuses dots in
// names, so prefix and base are joined by an underscore: upstream joined
// them by a dot and could not start with a prefix.
func (s Storage) Stream(base string) string {
	prefix := strings.TrimRight(s.StreamPrefix, ".>*")
	if prefix == "" {
		return base
	}
	return strings.ReplaceAll(prefix, ".", "_") + "_" + base
}

// InMemory reports whether streams and buckets live in memory only.
func (s Storage) InMemory() bool { return s.Persistence == "memory" }

// Events says how lattice events are consumed.
type Events struct {
	// AckWait is after how long an event that was not acknowledged comes again.
	// Shorter than a busy worker needs, and events are processed twice.
	AckWait time.Duration
	// MaxAckPending bounds the events of one lattice in flight, 1 to 16.
	MaxAckPending int
}

// Commands says how commands to hosts are followed up.
type Commands struct {
	// Deadline is how long a host may take to show that it did what it was asked.
	// Fetching and compiling take minutes at times: too short, and a slow host
	// is asked twice.
	Deadline time.Duration
}

// WithDefaults returns a copy of c in which every field that was left at its
// zero value has its default.
func (c Config) WithDefaults() Config {
	for _, o := range Options() {
		if o.isZero(&c) {
			o.set(&c, o.defaultValue())
		}
	}
	return c
}

// Validate reports everything that is wrong with c, or nil. It expects
// defaults to be filled in.
func (c Config) Validate() error {
	var errs []error
	for _, o := range Options() {
		v := o.get(&c)
		if v == "" && o.Default == "" {
			continue
		}
		// What could not be written could not be loaded either.
		if _, err := o.parse(o.Kind.format(v)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Key, err))
		}
	}
	for _, r := range relations() {
		if err := r.check(&c); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// relation is a rule about several options at once.
type relation struct {
	keys  []string
	check func(*Config) error
}

func relations() []relation {
	return []relation{
		{[]string{"nats.seed", "nats.jwt"}, func(c *Config) error {
			if (c.NATS.Seed == "") != (c.NATS.JWT == "") {
				return errors.New("nats.seed and nats.jwt (--nats-seed, --nats-jwt) need each other: give both or neither")
			}
			return nil
		}},
		{[]string{"nats.creds_file", "nats.seed", "nats.jwt"}, func(c *Config) error {
			if c.NATS.CredsFile != "" && (c.NATS.Seed != "" || c.NATS.JWT != "") {
				return errors.New("nats.creds_file (--nats-creds-file) cannot be used together with nats.seed or nats.jwt: give one or the other")
			}
			return nil
		}},
		{[]string{"api.reply_prefixes", "api.prefix"}, func(c *Config) error {
			for _, p := range c.API.Inboxes() {
				if strings.HasPrefix(c.API.Prefix+".", p+".") || strings.HasPrefix(p, c.API.Prefix+".") {
					return fmt.Errorf("api.reply_prefixes (--api-reply-prefixes) %q and api.prefix %q overlap: a reply could be a request", p, c.API.Prefix)
				}
			}
			return nil
		}},
	}
}

// Setting is one option with the value in force.
type Setting struct {
	Option Option
	// Value is in the form in which it would be written; secrets are masked.
	Value string
	// Default is set when the value is the default.
	Default bool
}

// Settings lists what is in force, in the order of [Options]. It is safe to
// show: secrets and passwords are masked.
func (c Config) Settings() []Setting {
	var out []Setting
	for _, o := range Options() {
		if o.Key == "" {
			continue
		}
		v := o.get(&c)
		s := Setting{Option: o, Value: o.Kind.format(v), Default: v == o.defaultValue()}
		if o.Secret && s.Value != "" {
			s.Value = "(hidden)"
		}
		if o.Key == "nats.server" {
			s.Value = maskPasswords(s.Value)
		}
		out = append(out, s)
	}
	return out
}

// LogValue shows what differs from the defaults, without secrets.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range c.Settings() {
		if !s.Default {
			attrs = append(attrs, slog.String(s.Option.Key, s.Value))
		}
	}
	return slog.GroupValue(attrs...)
}

// maskPasswords removes user and password from a list of server URLs.
func maskPasswords(servers string) string {
	parts := strings.Split(servers, ",")
	for i, p := range parts {
		at := strings.LastIndex(p, "@")
		if at < 0 {
			continue
		}
		scheme := ""
		if before, _, ok := strings.Cut(p, "://"); ok {
			scheme = before + "://"
		}
		parts[i] = scheme + "(hidden)" + p[at:]
	}
	return strings.Join(parts, ",")
}
