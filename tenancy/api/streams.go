package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/tenancy"
)

// Streams says how the two public streams are made when they are missing.
type Streams struct {
	// Events and Status name the streams. Defaults wadm_events and wadm_status, which
	// clients and tools know.
	Events, Status string
	// Replicas, 1 to 5. Default 1.
	Replicas int
	// Storage, default file.
	Storage jetstream.StorageType
	// EventsMaxBytes and StatusMaxBytes bound the streams; 0 and -1 mean no bound. A
	// full stream drops its oldest messages.
	EventsMaxBytes, StatusMaxBytes int64
}

// WithDefaults fills in what is not set.
func (s Streams) WithDefaults() Streams {
	s.Events = cmp.Or(s.Events, "wadm_events")
	s.Status = cmp.Or(s.Status, "wadm_status")
	s.Replicas = cmp.Or(s.Replicas, 1)
	s.EventsMaxBytes = cmp.Or(s.EventsMaxBytes, -1)
	s.StatusMaxBytes = cmp.Or(s.StatusMaxBytes, -1)
	return s
}

// StatusStream is the one definition of the stream of statuses, for whoever
// publishes them too: the last ten of each application, for ever, as clients have
// always found them.
func (s Streams) StatusStream() jetstream.StreamConfig {
	s = s.WithDefaults()
	return jetstream.StreamConfig{
		Name:        s.Status,
		Description: "A stream that stores all status updates for wadm applications",
		Subjects:    []string{"wadm.status.*.*"},
		Replicas:    s.Replicas, Storage: s.Storage, MaxBytes: s.StatusMaxBytes,
		MaxMsgsPerSubject: 10, AllowDirect: true, Duplicates: 2 * time.Minute,
		MaxMsgs: -1, MaxConsumers: -1, MaxMsgSize: -1,
	}
}

// eventAge is how long manifest events are kept: as long as anybody could wait.
const eventAge = 70 * time.Second

func (s *Server) streamConfigs(tenant tenancy.Tenant) []jetstream.StreamConfig {
	c := s.cfg.Streams
	configs := []jetstream.StreamConfig{
		{
			Name:        c.Events,
			Description: "A stream that stores all events coming in on the wadm.evt subject in a cluster",
			Subjects:    []string{"wadm.evt.*.>"},
			Replicas:    c.Replicas, Storage: c.Storage, MaxBytes: c.EventsMaxBytes,
			MaxAge: eventAge, Duplicates: eventAge,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: -1,
		},
		c.StatusStream(),
	}
	if tenant != "" {
		// A wildcard in the tenant's place would take in JetStream's own subjects, which
		// the server refuses for a stream that acknowledges.
		for i := range configs {
			configs[i].Subjects = append(configs[i].Subjects, string(tenant)+"."+configs[i].Subjects[0])
		}
	}
	return configs
}

// ensureStreams creates the streams that are missing. An existing one is used as
// it is, and the difference logged, except that a missing subject is added: without
// it nothing could be published. With a tenant, the subjects are the tenant's too.
func (s *Server) ensureStreams(ctx context.Context, tenant tenancy.Tenant) error {
	for _, want := range s.streamConfigs(tenant) {
		stream, err := s.openStream(ctx, want)
		if err != nil {
			return fmt.Errorf("open stream %s: %w", want.Name, s.cause(err, want.Name))
		}
		have := stream.CachedInfo().Config
		if d := streamDifferences(want, have); d != "" && tenant == "" {
			s.log.Warn("a stream exists with other settings and is used as it is", "stream", want.Name, "difference", d)
		}
		var missing []string
		for _, subject := range want.Subjects {
			if !slices.Contains(have.Subjects, subject) {
				missing = append(missing, subject)
			}
		}
		if len(missing) > 0 {
			have.Subjects = append(slices.Clone(have.Subjects), missing...)
			if _, err := s.js.UpdateStream(ctx, have); err != nil {
				return fmt.Errorf("add subjects %s to stream %s: %w", strings.Join(missing, ", "), want.Name, s.cause(err, want.Name))
			}
			s.log.Info("subjects were added to a stream", "stream", want.Name, "subjects", missing)
		}
		if want.Name == s.cfg.Streams.Status {
			s.status.Store(&stream)
		}
	}
	return nil
}

// openStream binds to a stream, or makes it.
func (s *Server) openStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	for {
		st, err := s.js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			st, err = s.js.CreateStream(ctx, want)
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return st, err
		}
		// Somebody was faster; another server of a cluster may not know it yet.
	}
}

// cause is why a request about a stream failed with err.
func (s *Server) cause(err error, stream string) error {
	if denied := natsconn.Denied(s.js.Conn(), "."+stream); denied != nil && natsconn.Passes(err) {
		return denied
	}
	return err
}

func streamDifferences(want, have jetstream.StreamConfig) string {
	var d []string
	diff := func(what string, w, h any) {
		if w != h {
			d = append(d, fmt.Sprintf("%s is %v instead of %v", what, h, w))
		}
	}
	diff("retention", want.Retention, have.Retention)
	diff("discard", want.Discard, have.Discard)
	diff("storage", want.Storage, have.Storage)
	diff("replicas", want.Replicas, have.Replicas)
	diff("max age", want.MaxAge, have.MaxAge)
	diff("max bytes", want.MaxBytes, have.MaxBytes)
	diff("max messages", want.MaxMsgs, have.MaxMsgs)
	diff("max messages per subject", want.MaxMsgsPerSubject, have.MaxMsgsPerSubject)
	if want.AllowDirect && !have.AllowDirect {
		diff("direct get", true, false)
	}
	return strings.Join(d, ", ")
}

// subject builds a public subject of a lattice from checked names.
func (s *Server) subject(key tenancy.LatticeKey, kind, last string) string {
	subject := kind + "." + string(key.Lattice) + "." + last
	if s.cfg.Multitenant {
		subject = string(key.Tenant) + "." + subject
	}
	return subject
}

// readStatus gives the newest public status of an application, nil when there is
// none that can be read.
func (s *Server) readStatus(ctx context.Context, key tenancy.LatticeKey, app string) *tenancy.Status {
	stream := s.status.Load()
	if stream == nil {
		return nil
	}
	m, err := (*stream).GetLastMsgForSubject(ctx, s.subject(key, "wadm.status", app))
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			s.log.Warn("reading a status failed", "tenant", key.Tenant, "lattice", key.Lattice, "application", app, "error", err)
		}
		return nil
	}
	status, err := tenancy.DecodeStatus(m.Data)
	if err != nil {
		s.log.Warn("a stored status cannot be decoded", "tenant", key.Tenant, "lattice", key.Lattice, "application", app, "error", err)
		return nil
	}
	return &status
}

// forgetStatus removes the statuses of an application that is new or gone, so that
// the next one of that name does not inherit them.
func (s *Server) forgetStatus(ctx context.Context, key tenancy.LatticeKey, app string) {
	stream := s.status.Load()
	if stream == nil {
		return
	}
	if err := (*stream).Purge(ctx, jetstream.WithPurgeSubject(s.subject(key, "wadm.status", app))); err != nil {
		s.log.Warn("removing old statuses failed", "tenant", key.Tenant, "lattice", key.Lattice, "application", app, "error", err)
	}
}
