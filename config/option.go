package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"wadm/config/spelling"
)

// Option is one row of the table of options.
type Option struct {
	// Key is the place in the configuration file, such as nats.server. Empty:
	// it cannot stand in the file.
	Key string
	// Long and Short are the flags, without dashes. Short may be empty.
	Long, Short string
	// Env is the environment variable. Empty: there is none.
	Env string
	// Kind is the form of the value.
	Kind Kind
	// Values are the words an enum knows.
	Values []string
	// Default is what holds when nothing is said, as it would be written.
	Default string
	// Help is one sentence or two for the operator.
	Help string
	// Hidden keeps the option out of the help text, not out of the reference.
	Hidden bool
	// Secret values are never shown, and the variable with _FILE appended names
	// a file that holds the value.
	Secret bool
	// Upstream marks the options that upstream wadm has too.
	Upstream bool
	// Ignored options are accepted because upstream has them, and have no effect:
	// what they set does not exist here. Help says so.
	Ignored bool

	clean func(string) string
	check func(any) error
	field func(*Config) any
}

// Options is the table. The caller owns the slice.
func Options() []Option {
	return slices.Concat(processOptions(), natsOptions(), storageOptions())
}

func processOptions() []Option {
	return []Option{
		{Long: "config", Env: "WADM_CONFIG_FILE", Kind: KindText,
			Help: "Configuration file (YAML). Variables and flags win over it."},
		{Key: "instance_id", Long: "instance-id", Env: "WADM_INSTANCE_ID", Kind: KindText,
			Help:  "Unique name of this process among the instances. Of two with the same, the one that was started first owns nothing and is not ready while the other lives. Made up at start when not given.",
			check: optional(instanceID), field: func(c *Config) any { return &c.InstanceID }},
		{Key: "host_id", Long: "host-id", Short: "i", Env: "WADM_HOST_ID", Kind: KindText, Upstream: true,
			Help:  "Older name of --instance-id, which wins over it.",
			check: optional(instanceID), field: func(c *Config) any { return &c.HostID }},
		{Key: "log.level", Long: "log-level", Env: "WADM_LOG_LEVEL", Kind: KindEnum,
			Values: []string{"debug", "info", "warn", "error"}, Default: "info",
			Help:  "Least severe level that is logged. RUST_LOG is understood as far as it names a level, when nothing else does.",
			field: func(c *Config) any { return &c.Log.Level }},
		{Key: "log.format", Long: "log-format", Env: "WADM_LOG_FORMAT", Kind: KindEnum,
			Values: []string{"text", "json"},
			Help:   "Form of log lines. Wins over --structured-logging; text when neither is given.",
			field:  func(c *Config) any { return &c.Log.Format }},
		{Key: "log.structured", Long: "structured-logging", Short: "l", Env: "WADM_STRUCTURED_LOGGING", Kind: KindBool, Upstream: true,
			Default: "false", Help: "Log JSON lines.",
			field: func(c *Config) any { return &c.Log.Structured }},
		{Key: "tracing.enabled", Long: "tracing", Short: "t", Env: "WADM_TRACING_ENABLED", Kind: KindBool, Upstream: true,
			Default: "false", Help: "Send OpenTelemetry traces.",
			field: func(c *Config) any { return &c.Tracing.Enabled }},
		{Key: "tracing.endpoint", Long: "tracing-endpoint", Short: "e", Env: "WADM_TRACING_ENDPOINT", Kind: KindText, Upstream: true,
			Help:  "OTLP/HTTP receiver of the traces; setting it turns them on. /v1/traces is appended when missing. http://localhost:4318 when tracing is on without it. OTEL_EXPORTER_OTLP_* variables win.",
			check: optional(httpURL), field: func(c *Config) any { return &c.Tracing.Endpoint }},
		{Key: "admin.address", Long: "http-admin", Env: "WADM_HTTP_ADMIN", Kind: KindText, Upstream: true,
			Help:  "Address (ip:port) of the HTTP endpoint with /livez, /readyz, /metrics and read-only pages. Off when not given.",
			check: optional(addrPort), field: func(c *Config) any { return &c.Admin.Address }},
		{Key: "max_jobs", Long: "max-jobs", Short: "j", Env: "WADM_MAX_JOBS", Kind: KindCount, Upstream: true, Ignored: true,
			Default: "unlimited", Help: "Accepted, without effect: every lattice has a worker of its own.",
			check: atLeast(0), field: func(c *Config) any { return &c.MaxJobs }},
		{Key: "cleanup_interval", Long: "cleanup-interval", Env: "WADM_CLEANUP_INTERVAL", Kind: KindDuration, Upstream: true, Ignored: true,
			Default: "70s", Help: "Accepted, without effect: a host is lost when its own heartbeats stay out.",
			check: durationBetween(time.Second, 24*time.Hour), field: func(c *Config) any { return &c.CleanupInterval }},
		{Key: "drain_timeout", Long: "drain-timeout", Env: "WADM_DRAIN_TIMEOUT", Kind: KindDuration,
			Default: "20s", Help: "How long an orderly stop may take to hand lattices over. Keep it below the grace period of whatever supervises the process.",
			check: durationBetween(time.Millisecond, time.Hour), field: func(c *Config) any { return &c.DrainTimeout }},
		{Key: "api.prefix", Long: "api-prefix", Env: "WADM_API_PREFIX", Kind: KindText, Upstream: true,
			Default: "wadm.api", Help: "Subject prefix of the API.",
			clean: trimSubject, check: subject, field: func(c *Config) any { return &c.API.Prefix }},
		{Key: "api.reply_prefixes", Long: "api-reply-prefixes", Env: "WADM_API_REPLY_PREFIXES", Kind: KindText,
			Help:  "Inbox prefixes of clients and other instances that do not begin with _INBOX, separated by commas. A request that wants its reply anywhere else is ignored.",
			check: optional(replyPrefixes), field: func(c *Config) any { return &c.API.ReplyPrefixes }},
		{Key: "multitenant", Long: "multitenant", Env: "WADM_MULTITENANT", Kind: KindBool, Upstream: true, Hidden: true,
			Default: "false", Help: "Not available in this version; the start refuses it.",
			field: func(c *Config) any { return &c.Multitenant }},
		{Key: "events.ack_wait", Long: "event-ack-wait", Env: "WADM_EVENT_ACK_WAIT", Kind: KindDuration,
			Default: "30s", Help: "After how long an event that was not acknowledged is delivered again.",
			check: durationBetween(time.Second, time.Hour), field: func(c *Config) any { return &c.Events.AckWait }},
		{Key: "events.max_ack_pending", Long: "event-max-ack-pending", Env: "WADM_EVENT_MAX_ACK_PENDING", Kind: KindNumber,
			Default: "16", Help: "How many events of one lattice may be in flight, 1 to 16.",
			check: between(1, 16), field: func(c *Config) any { return &c.Events.MaxAckPending }},
		{Key: "commands.deadline", Long: "command-deadline", Env: "WADM_COMMAND_DEADLINE", Kind: KindDuration,
			Default: "2m", Help: "How long a host may take to confirm a command before it counts as failed. Fetching and compiling an image can take minutes.",
			check: durationBetween(time.Second, 24*time.Hour), field: func(c *Config) any { return &c.Commands.Deadline }},
	}
}

func natsOptions() []Option {
	return []Option{
		{Key: "nats.server", Long: "nats-server", Short: "s", Env: "WADM_NATS_SERVER", Kind: KindText, Upstream: true,
			Default: "127.0.0.1:4222", Help: "NATS server, or several separated by commas. Scheme and port are optional; user:password@ in front of the host is used unless other credentials are given.",
			check: servers, field: func(c *Config) any { return &c.NATS.Server }},
		{Key: "nats.seed", Long: "nats-seed", Env: "WADM_NATS_NKEY", Kind: KindText, Upstream: true, Secret: true,
			Help:  "Seed of the NATS user, or the file that holds it. Needs --nats-jwt.",
			field: func(c *Config) any { return &c.NATS.Seed }},
		{Key: "nats.jwt", Long: "nats-jwt", Env: "WADM_NATS_JWT", Kind: KindText, Upstream: true, Secret: true,
			Help:  "JWT of the NATS user, or the file that holds it. Needs --nats-seed.",
			field: func(c *Config) any { return &c.NATS.JWT }},
		{Key: "nats.creds_file", Long: "nats-creds-file", Env: "WADM_NATS_CREDS_FILE", Kind: KindText, Upstream: true,
			Help:  "NATS credentials file. Not together with --nats-seed or --nats-jwt.",
			field: func(c *Config) any { return &c.NATS.CredsFile }},
		{Key: "nats.tls_ca_file", Long: "nats-tls-ca-file", Env: "WADM_NATS_TLS_CA_FILE", Kind: KindText, Upstream: true,
			Help:  "Root certificates (PEM) for NATS. Setting it requires TLS.",
			field: func(c *Config) any { return &c.NATS.TLSCAFile }},
		{Key: "nats.jetstream_domain", Long: "jetstream-domain", Short: "d", Env: "WADM_JETSTREAM_DOMAIN", Kind: KindText, Upstream: true,
			Help:  "JetStream domain of the streams and buckets.",
			check: optional(token), field: func(c *Config) any { return &c.NATS.JetStreamDomain }},
		{Key: "nats.inbox_prefix", Long: "nats-inbox-prefix", Env: "WADM_NATS_INBOX_PREFIX", Kind: KindText,
			Default: "_INBOX", Help: "First part of the subjects on which replies arrive, for accounts with narrow permissions.",
			clean: trimSubject, check: subject, field: func(c *Config) any { return &c.NATS.InboxPrefix }},
		{Key: "nats.start_timeout", Long: "nats-start-timeout", Env: "WADM_NATS_START_TIMEOUT", Kind: KindDuration,
			Default: "30s", Help: "How long the start waits for NATS before it gives up with exit code 9. Later losses are waited out without limit.",
			check: durationBetween(time.Millisecond, 24*time.Hour), field: func(c *Config) any { return &c.NATS.StartTimeout }},
	}
}

func storageOptions() []Option {
	limit := func(key, what string, field func(*Config) *int64) Option {
		long := strings.ReplaceAll(key, "_", "-")
		return Option{
			Key: "storage." + key, Long: long, Env: "WADM_" + strings.ToUpper(key), Kind: KindBytes,
			Default: "-1", Hidden: true, Upstream: true,
			Help:  "Limit of " + what + ", in bytes; -1 is none.",
			field: func(c *Config) any { return field(c) },
		}
	}
	ignored := func(key, why string, field func(*Config) *int64) Option {
		o := limit(key, "", field)
		o.Ignored, o.Help = true, "Accepted, without effect: "+why+"."
		return o
	}
	return []Option{
		{Key: "storage.replicas", Long: "replicas", Env: "WADM_REPLICAS", Kind: KindNumber,
			Default: "1", Help: "Copies of every stream and bucket: 1, 3 or 5. More than one needs a NATS cluster of at least that many servers; 3 survive the loss of one server, 5 of two.",
			check: replicas, field: func(c *Config) any { return &c.Storage.Replicas }},
		{Key: "storage.persistence", Long: "stream-persistence", Env: "WADM_STREAM_PERSISTENCE", Kind: KindEnum, Upstream: true,
			Values: []string{"file", "memory"}, Default: "file",
			Help:  "Where streams and buckets live. memory loses everything when NATS restarts.",
			field: func(c *Config) any { return &c.Storage.Persistence }},
		{Key: "storage.stream_prefix", Long: "stream-prefix", Env: "WADM_STREAM_PREFIX", Kind: KindText, Upstream: true,
			Help:  "Put in front of the names of streams, joined by an underscore.",
			check: optional(streamPrefix), field: func(c *Config) any { return &c.Storage.StreamPrefix }},
		{Key: "storage.state_bucket", Long: "state-bucket-name", Env: "WADM_STATE_BUCKET_NAME", Kind: KindText, Upstream: true, Ignored: true,
			Default: "wadm_state", Help: "Accepted, without effect: upstream's bucket for observed state is not read.",
			check: token, field: func(c *Config) any { return &c.Storage.StateBucket }},
		{Key: "storage.manifest_bucket", Long: "manifest-bucket-name", Env: "WADM_MANIFEST_BUCKET_NAME", Kind: KindText, Upstream: true,
			Default: "wadm_manifests", Help: "Upstream's bucket for manifests, adopted at the first start.",
			check: token, field: func(c *Config) any { return &c.Storage.ManifestBucket }},
		ignored("state_bucket_max_bytes", "there is no state bucket", func(c *Config) *int64 { return &c.Storage.StateBucketMaxBytes }),
		limit("manifest_bucket_max_bytes", "the catalog of applications", func(c *Config) *int64 { return &c.Storage.ManifestBucketMaxBytes }),
		ignored("command_stream_max_bytes", "there is no stream of commands", func(c *Config) *int64 { return &c.Storage.CommandStreamMaxBytes }),
		limit("event_stream_max_bytes", "the stream of events that wadm publishes", func(c *Config) *int64 { return &c.Storage.EventStreamMaxBytes }),
		ignored("event_consumer_stream_max_bytes", "events are consumed from the stream of lattice events", func(c *Config) *int64 { return &c.Storage.EventConsumerStreamMaxBytes }),
		limit("status_stream_max_bytes", "the stream of statuses", func(c *Config) *int64 { return &c.Storage.StatusStreamMaxBytes }),
		ignored("notify_stream_max_bytes", "there is no stream of notifications", func(c *Config) *int64 { return &c.Storage.NotifyStreamMaxBytes }),
		limit("wasmbus_event_stream_max_bytes", "the stream of lattice events", func(c *Config) *int64 { return &c.Storage.WasmbusEventStreamMaxBytes }),
	}
}

// parse reads and checks a value as it is written.
func (o Option) parse(s string) (any, error) {
	if o.clean != nil {
		s = o.clean(s)
	}
	v, err := o.Kind.parse(s)
	if err == nil && o.Kind == KindEnum && !slices.Contains(o.Values, s) {
		err = fmt.Errorf("must be %s", strings.Join(o.Values, " or "))
		if near, ok := spelling.Nearest(s, o.Values, true); ok {
			err = fmt.Errorf("%w; did you mean %q?", err, near)
		}
	}
	if err == nil && o.check != nil {
		err = o.check(v)
	}
	if err != nil && !o.Secret && o.Key != "nats.server" {
		err = fmt.Errorf("%q %w", s, err)
	}
	return v, err
}

// defaultValue is the default in the option's type.
func (o Option) defaultValue() any {
	if o.Default == "" {
		return o.zero()
	}
	// The test of the table parses every default, so this cannot fail.
	v, err := o.Kind.parse(o.Default)
	if err != nil {
		return o.zero()
	}
	return v
}

// zero is the zero value of the option's type.
func (o Option) zero() any {
	switch o.Kind {
	case KindBool:
		return false
	case KindNumber, KindCount:
		return 0
	case KindBytes:
		return int64(0)
	case KindDuration:
		return time.Duration(0)
	default:
		return ""
	}
}

func (o Option) get(c *Config) any {
	if o.field == nil {
		return o.zero()
	}
	switch p := o.field(c).(type) {
	case *string:
		return *p
	case *bool:
		return *p
	case *int:
		return *p
	case *int64:
		return *p
	case *time.Duration:
		return *p
	}
	return nil
}

func (o Option) set(c *Config, v any) {
	if o.field == nil {
		return
	}
	switch p := o.field(c).(type) {
	case *string:
		*p, _ = v.(string)
	case *bool:
		*p, _ = v.(bool)
	case *int:
		*p, _ = v.(int)
	case *int64:
		*p, _ = v.(int64)
	case *time.Duration:
		*p, _ = v.(time.Duration)
	}
}

func (o Option) isZero(c *Config) bool { return o.get(c) == o.zero() }

// The checks below get a value of the option's type.

// optional accepts the empty text.
func optional(check func(any) error) func(any) error {
	return func(v any) error {
		if v == "" {
			return nil
		}
		return check(v)
	}
}

func between(lo, hi int) func(any) error {
	return func(v any) error {
		if n, ok := v.(int); !ok || n < lo || n > hi {
			return fmt.Errorf("must be %d to %d", lo, hi)
		}
		return nil
	}
}

// replicas are odd: a fourth copy needs one more for a majority and survives no more
// than three do.
func replicas(v any) error {
	if n, ok := v.(int); !ok || n != 1 && n != 3 && n != 5 {
		return errors.New("must be 1, 3 or 5: an even number survives no more than the odd one below it")
	}
	return nil
}

func atLeast(lo int) func(any) error {
	return func(v any) error {
		if n, ok := v.(int); !ok || n < lo {
			return fmt.Errorf("must be %d or more", lo)
		}
		return nil
	}
}

func durationBetween(lo, hi time.Duration) func(any) error {
	return func(v any) error {
		if d, ok := v.(time.Duration); !ok || d < lo || d > hi {
			return fmt.Errorf("must be %s to %s", KindDuration.format(lo), KindDuration.format(hi))
		}
		return nil
	}
}

// isToken reports whether s can be part of a subject and of a stream's name.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

func token(v any) error {
	if s, _ := v.(string); !isToken(s) {
		return errors.New("must be letters, digits, _ and - only")
	}
	return nil
}

func instanceID(v any) error {
	if s, _ := v.(string); !isToken(s) || len(s) > 64 {
		return errors.New("must be 1 to 64 letters, digits, _ or -")
	}
	return nil
}

// trimSubject forgives what upstream forgave: blanks and dots at the ends.
func trimSubject(s string) string { return strings.Trim(strings.TrimSpace(s), ".") }

func subject(v any) error {
	s, _ := v.(string)
	for part := range strings.SplitSeq(s, ".") {
		if !isToken(part) {
			return errors.New("must be words of letters, digits, _ and -, joined by dots")
		}
	}
	return nil
}

// replyPrefixes keeps replies away from subjects on which they would be commands.
func replyPrefixes(v any) error {
	s, _ := v.(string)
	for _, p := range (API{ReplyPrefixes: s}).Inboxes() {
		if err := subject(p); err != nil {
			return fmt.Errorf("%w; several are separated by commas", err)
		}
		if first, _, _ := strings.Cut(p, "."); first == "wasmbus" || first == "wadm" {
			return errors.New("must not begin with wasmbus or wadm: a reply could be a command there")
		}
	}
	return nil
}

func streamPrefix(v any) error {
	s, _ := v.(string)
	if s = strings.TrimRight(s, ".>*"); s == "" {
		return nil
	}
	return subject(s)
}

func servers(v any) error {
	s, _ := v.(string)
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" || strings.ContainsAny(part, " \t\r\n") {
			return errors.New("must be a host, host:port or URL, or several separated by commas")
		}
	}
	return nil
}

func httpURL(v any) error {
	s, _ := v.(string)
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return errors.New("must start with http:// or https://")
	}
	return nil
}

func addrPort(v any) error {
	s, _ := v.(string)
	return CheckAddress(s)
}

// CheckAddress tells what is wrong with the address of an HTTP endpoint, or nil.
func CheckAddress(s string) error {
	if _, err := netip.ParseAddrPort(s); err != nil {
		return errors.New("must be ip:port, such as 0.0.0.0:8080 or [::]:8080")
	}
	return nil
}
