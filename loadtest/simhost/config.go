package simhost

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"wadm/scheduler/lattice"
)

// Config shapes a simulated lattice. The zero value is a set of healthy 1.9.2
// hosts on a good network whose images are there at once.
type Config struct {
	// Seed of all randomness of the lattice: ids, names, faults, jitter.
	Seed uint64
	// CtlPrefix is the control subjects' prefix; "wasmbus.ctl" when empty.
	CtlPrefix string
	// Version the hosts report; "1.9.2" when empty. Must be a semantic version
	// for upstream wadm to read heartbeats.
	Version string
	// HeartbeatInterval of hosts that name none; 30 s when zero. HeartbeatJitter
	// delays each heartbeat by up to as much; real hosts have none.
	HeartbeatInterval time.Duration
	HeartbeatJitter   time.Duration
	// SpreadHeartbeats makes a host's first heartbeat come after a random part
	// of the interval instead of a full one, as if hosts had started one by one.
	SpreadHeartbeats bool
	// Images tells how an image behaves; nil means every image works at once.
	// It is called with the lattice locked and must not call back.
	Images func(image string) Image
	// LinkLag is how long link.get still answers without a change; hosts learn
	// of links through a watch.
	LinkLag time.Duration
	// ShutdownDelay is how long a provider takes to stop.
	ShutdownDelay time.Duration
	// Faults of the network between hosts and everybody else.
	Faults Faults
	// Quirks changes the behaviour away from 1.9.2.
	Quirks Quirks
	// Fate decides what becomes of a single command at its arrival; nil delivers
	// all. It is called with the lattice locked and must not call back.
	Fate func(Record) Fate
	// OnCommand is called with each recorded command once it is answered, in
	// order, without locks held. It delays the lattice while it runs; all methods
	// but Close may be called from it.
	OnCommand func(Record)
	// Records limits how many commands Commands remembers; 0 keeps all, a
	// negative value none. Violations are always kept.
	Records int
	// RequireEpoch makes a command without an epoch header a violation.
	RequireEpoch bool
	// Inbox is how many requests may wait for the lattice, 8 bytes each; 4096
	// when zero. What exceeds it is lost and counted in Stats.
	Inbox int
	// Compact makes one subscription serve each host instead of four. Requests
	// for families that do not exist then time out instead of being refused.
	Compact bool
}

// Faults are probabilities from 0 to 1, each decided per message.
type Faults struct {
	RequestDrop    float64
	ReplyDrop      float64
	ReplyDuplicate float64
	// ReplyDelay is the probability of a delay, ReplyDelayMax its upper bound.
	ReplyDelay    float64
	ReplyDelayMax time.Duration

	EventDrop      float64
	EventDuplicate float64
	EventDelay     float64
	EventDelayMax  time.Duration
}

// Quirks switches single behaviours. The zero value is host 1.9.2.
type Quirks struct {
	// SingleScaled publishes one component_scaled on a first start, not two.
	SingleScaled bool
	// NoZeroAfterUpdate omits the component_scaled 0 that follows an update.
	NoZeroAfterUpdate bool
	// EarlyStarted is host 1.9.0 and 1.9.1: host_started carries the id and is
	// published some 10 ms before the subscriptions exist.
	EarlyStarted bool
}

// Image is what happens when a host works with an image.
type Image struct {
	// Fetch takes this long the first time on a host.
	Fetch time.Duration
	// Compile takes this long at each start or update of a component; the
	// component table is locked meanwhile, except for updates. For a provider it
	// is the launch, with the provider table locked.
	Compile time.Duration
	// Mutes makes the host say and hear nothing while it compiles.
	Mutes bool
	// FetchError and CompileError, when not empty, are how it fails.
	FetchError   string
	CompileError string
	// Denied fails every start and scale with this text, running or not.
	Denied string
	// NeverFetched and NeverCompiled are work without end.
	NeverFetched  bool
	NeverCompiled bool
	// Claims of a signed image; nil for an unsigned one.
	Claims *Claims
}

// Claims are what a signed image says of itself.
type Claims struct {
	// Subject is its public key: M… for components, V… for providers.
	Subject  string
	Issuer   string
	Name     string
	Version  string
	Revision int
}

// HostConfig shapes one host. The zero value works.
type HostConfig struct {
	// ID is a server public key; a fresh one when empty.
	ID lattice.HostID
	// FriendlyName is made up when empty.
	FriendlyName string
	// Labels beside (or instead of) the built-in hostcore ones.
	Labels map[string]string
	// HeartbeatInterval overrides the lattice's.
	HeartbeatInterval time.Duration
	// NoAuctions keeps the host silent in auctions.
	NoAuctions bool
	// DisabledBuiltins are the built-in providers http-server and
	// messaging-nats the host does not have.
	DisabledBuiltins []string
}

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	c.CtlPrefix = cmp.Or(c.CtlPrefix, "wasmbus.ctl")
	c.Version = cmp.Or(c.Version, "1.9.2")
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, 30*time.Second)
	if c.Images == nil {
		c.Images = func(string) Image { return Image{} }
	}
	c.Inbox = cmp.Or(c.Inbox, 4096)
	return c
}

// Validate says what is impossible.
func (c Config) Validate() error {
	f := c.Faults
	for name, p := range map[string]float64{
		"request drop": f.RequestDrop, "reply drop": f.ReplyDrop, "reply duplicate": f.ReplyDuplicate, "reply delay": f.ReplyDelay,
		"event drop": f.EventDrop, "event duplicate": f.EventDuplicate, "event delay": f.EventDelay,
	} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("validate faults: %s %v is no probability", name, p)
		}
	}
	for name, d := range map[string]time.Duration{
		"heartbeat interval": c.HeartbeatInterval, "heartbeat jitter": c.HeartbeatJitter, "link lag": c.LinkLag,
		"shutdown delay": c.ShutdownDelay, "reply delay": f.ReplyDelayMax, "event delay": f.EventDelayMax,
	} {
		if d < 0 {
			return fmt.Errorf("validate config: %s %v is negative", name, d)
		}
	}
	if c.Inbox < 0 {
		return fmt.Errorf("validate config: inbox %d is negative", c.Inbox)
	}
	return nil
}

// Validate says what is impossible.
func (c HostConfig) Validate() error {
	if c.ID != "" && !nkeys.IsValidPublicServerKey(string(c.ID)) {
		return fmt.Errorf("validate host: id %q is no public server key", c.ID)
	}
	if c.HeartbeatInterval < 0 {
		return fmt.Errorf("validate host: heartbeat interval %v is negative", c.HeartbeatInterval)
	}
	for _, b := range c.DisabledBuiltins {
		if !slices.Contains(builtins, b) {
			return fmt.Errorf("validate host: built-in provider %q does not exist", b)
		}
	}
	return nil
}
