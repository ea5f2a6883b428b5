package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"wadm/tenancy"
)

// Config tunes a [Catalog]. The zero value works.
type Config struct {
	// Bucket names the key-value bucket. Default wadm_catalog. Instances that share
	// work must agree on it.
	Bucket string
	// Replicas of the bucket when it is created, 1 to 5. Default 1, which loses the
	// catalog with its server; 3 is meant for production.
	Replicas int
	// Storage of the bucket when it is created. Default file; memory loses the
	// catalog with the NATS server.
	Storage jetstream.StorageType
	// MaxBytes bounds the bucket when it is created; 0 and -1 mean no bound. A full
	// bucket refuses puts and changes, never drops anything.
	MaxBytes int64
	// MaxVersions bounds the stored versions of one application. Default 2,000.
	// Beyond some 5,000 the list of versions outgrows one NATS message of 1 MiB.
	MaxVersions int
	// MemoryBytes bounds the manifests kept in memory, counted by their canonical
	// JSON. Default 32 MiB. Small values cost reads, large ones about three times
	// their size in memory.
	MemoryBytes int
	// SweepEvery is the pause between two searches for unreferenced bodies.
	// Default 1 h.
	SweepEvery time.Duration
	// SweepAge is the least age of an unreferenced body that is removed. Default
	// 1 h. It must exceed the longest time a put can take.
	SweepAge time.Duration
	// MarkerTTL is how long the marker of a removed application stays. Default 24 h.
	// It must exceed the longest time an instance is cut off and still believes its
	// memory; instances read everything again whenever they reconnect.
	MarkerTTL time.Duration
	// Expected: there must be a bucket, because instances have worked with it before.
	// A missing one is then ErrLost, and not created: with an empty one everything
	// that runs would be removed.
	Expected bool
	// Logger receives what is skipped or repaired. Default: discarded.
	Logger *slog.Logger
	// Now is the clock of the history. Default time.Now.
	Now func() time.Time
}

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	c.Bucket = cmp.Or(c.Bucket, "wadm_catalog")
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.MaxBytes = cmp.Or(c.MaxBytes, -1)
	c.MaxVersions = cmp.Or(c.MaxVersions, 2000)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 32<<20)
	c.SweepEvery = cmp.Or(c.SweepEvery, time.Hour)
	c.SweepAge = cmp.Or(c.SweepAge, time.Hour)
	c.MarkerTTL = cmp.Or(c.MarkerTTL, 24*time.Hour)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports everything that is wrong with a filled-in configuration.
func (c Config) Validate() error {
	var errs []error
	if _, err := tenancy.ParseApp(c.Bucket); err != nil {
		errs = append(errs, fmt.Errorf("catalog bucket %q: ASCII letters, digits, '-' and '_' only", c.Bucket))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		errs = append(errs, fmt.Errorf("catalog replicas %d: 1 to 5", c.Replicas))
	}
	if c.MaxVersions < 1 {
		errs = append(errs, fmt.Errorf("catalog versions %d: at least 1", c.MaxVersions))
	}
	if c.SweepEvery < 0 || c.SweepAge < 0 || c.MemoryBytes < 0 {
		errs = append(errs, errors.New("catalog sweep and memory: not negative"))
	}
	if c.MarkerTTL < time.Second {
		errs = append(errs, fmt.Errorf("catalog marker TTL %v: at least 1s", c.MarkerTTL))
	}
	return errors.Join(errs...)
}

// Catalog is the store of applications. It may be used from any goroutine, before
// and beside Run; only Watch needs Run.
type Catalog struct {
	cfg    Config
	log    *slog.Logger
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	stream jetstream.Stream
	// get is the subject of leader reads.
	get string
	// markers: the bucket lets the markers of removed applications expire.
	markers bool
	bodies  *memory

	index index
}

// New opens the bucket and creates it when it is missing. An existing bucket with
// other settings is used as it is and the difference logged.
func New(ctx context.Context, js jetstream.JetStream, cfg Config) (*Catalog, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	want := jetstream.KeyValueConfig{
		Bucket:         cfg.Bucket,
		Description:    "Applications of wadm, their versions and what is deployed",
		History:        1,
		Replicas:       cfg.Replicas,
		Storage:        cfg.Storage,
		MaxBytes:       cfg.MaxBytes,
		LimitMarkerTTL: cfg.MarkerTTL,
	}
	kv, stream, err := open(ctx, js, &want, cfg.Expected)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", cfg.Bucket, err)
	}
	have := stream.CachedInfo().Config
	if d := differences(want, have); d != "" {
		cfg.Logger.Warn("the catalog bucket exists with other settings and is used as it is",
			"bucket", cfg.Bucket, "difference", d)
	}
	opts := js.Options()
	prefix := strings.TrimSuffix(opts.APIPrefix, ".")
	if opts.Domain != "" {
		prefix = "$JS." + opts.Domain + ".API"
	}
	if prefix == "" {
		prefix = "$JS.API"
	}
	c := &Catalog{
		cfg:     cfg,
		log:     cfg.Logger,
		js:      js,
		kv:      kv,
		stream:  stream,
		get:     prefix + ".STREAM.MSG.GET.KV_" + cfg.Bucket,
		markers: have.AllowMsgTTL,
		bodies:  newMemory(cfg.MemoryBytes),
	}
	c.index.init()
	return c, nil
}

// Of several instances that make the bucket at once, a server of a cluster tells one
// that it exists and, asked for it, that it does not: another server is still making
// it. That is over within underWay; lookAgain is the pause between two looks.
const (
	underWay  = 10 * time.Second
	lookAgain = 50 * time.Millisecond
)

// open binds to the bucket, or makes it when it is missing and may be. Servers that
// cannot expire markers change want.
func open(ctx context.Context, js jetstream.JetStream, want *jetstream.KeyValueConfig, expected bool) (jetstream.KeyValue, jetstream.Stream, error) {
	for began := time.Now(); ; {
		kv, err := js.KeyValue(ctx, want.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			if expected {
				return nil, nil, ErrLost
			}
			kv, err = js.CreateKeyValue(ctx, *want)
			if errors.Is(err, jetstream.ErrLimitMarkerTTLNotSupported) {
				// Servers before 2.11: markers stay for ever, which costs space only.
				want.LimitMarkerTTL = 0
				kv, err = js.CreateKeyValue(ctx, *want)
			}
		}
		var stream jetstream.Stream
		if err == nil {
			stream, err = js.Stream(ctx, "KV_"+want.Bucket)
		}
		madeByAnother := errors.Is(err, jetstream.ErrBucketExists) || errors.Is(err, jetstream.ErrStreamNotFound)
		if !madeByAnother || time.Since(began) >= underWay {
			return kv, stream, err
		}
		t := time.NewTimer(lookAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func differences(want jetstream.KeyValueConfig, have jetstream.StreamConfig) string {
	var d []string
	diff := func(what string, w, h any) {
		if w != h {
			d = append(d, fmt.Sprintf("%s is %v instead of %v", what, h, w))
		}
	}
	diff("history", int64(want.History), have.MaxMsgsPerSubject)
	diff("max age", time.Duration(0), have.MaxAge)
	diff("storage", want.Storage, have.Storage)
	diff("replicas", want.Replicas, have.Replicas)
	diff("max bytes", want.MaxBytes, have.MaxBytes)
	diff("max value size", int32(-1), have.MaxMsgSize)
	diff("marker ttl", want.LimitMarkerTTL, have.SubjectDeleteMarkerTTL)
	return strings.Join(d, ", ")
}

// Run keeps the index of heads in memory, calls the watchers and sweeps
// unreferenced bodies, until ctx ends. It survives reconnects and restarts of
// NATS and returns nil. It does not create a bucket that somebody has deleted:
// reads and changes fail, nobody is told of any change, and all goes on when the
// bucket is back.
func (c *Catalog) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.follow(ctx) })
	g.Go(func() error { return c.sweepLoop(ctx) })
	return g.Wait()
}

// Ready is nil when changes of the catalog are followed, and else why not:
// ErrLost (wrapped) when the bucket has been deleted.
func (c *Catalog) Ready() error {
	c.index.mu.Lock()
	defer c.index.mu.Unlock()
	return c.index.trouble
}

// index is what every instance remembers of all heads.
type index struct {
	mu sync.Mutex
	// loaded: the first list is complete. Guarded by mu, like everything below.
	loaded bool
	// position is the highest revision seen.
	position uint64
	// moved is closed and replaced whenever loaded or position changes.
	moved chan struct{}
	apps  map[tenancy.LatticeKey]map[string]entry
	// waiters are called when what is deployed in their lattice changes.
	waiters map[tenancy.LatticeKey]map[*waiter]struct{}
	// trouble is why changes are not followed now; nil when they are.
	trouble error
	// restart asks follow for a new list.
	restart chan struct{}
}

func (x *index) init() {
	x.moved = make(chan struct{})
	x.apps = map[tenancy.LatticeKey]map[string]entry{}
	x.waiters = map[tenancy.LatticeKey]map[*waiter]struct{}{}
	x.restart = make(chan struct{}, 1)
	x.trouble = errors.New("the catalog has not been read yet")
}
