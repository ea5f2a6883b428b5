package natsjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subject roots of the ledger; a lattice's "tenant.lattice" follows.
const (
	claimSubject   = "wadm.own."
	commandSubject = "wadm.cmd."
	stateSubject   = "wadm.state."
)

// statusSubject is the root of the public statuses.
const statusSubject = "wadm.status."

// statusConfig is the stream of statuses as it takes those of account too. An
// account's subjects are added one by one, because a wildcard in their place would
// take in JetStream's own.
func (s *Streams) statusConfig(account string) jetstream.StreamConfig {
	c := s.cfg.Status
	if account != "" {
		c.Subjects = append(slices.Clone(c.Subjects), account+"."+statusSubject+"*.*")
	}
	return c
}

func limit(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// A need compares an existing stream with what is wanted and writes what must
// change into have; the result names each change.
type need func(have *jetstream.StreamConfig, want jetstream.StreamConfig) []string

// set notes a difference and corrects it.
func set[T comparable](diffs []string, what string, have *T, want T) []string {
	if *have == want {
		return diffs
	}
	diffs = append(diffs, fmt.Sprintf("%s is %v, want %v", what, *have, want))
	*have = want
	return diffs
}

// needSubjects accepts a stream as it is as long as it takes our subjects.
func needSubjects(have *jetstream.StreamConfig, want jetstream.StreamConfig) (diffs []string) {
	var missing []string
	for _, s := range want.Subjects {
		if !slices.ContainsFunc(have.Subjects, func(h string) bool { return covers(h, s) }) {
			missing = append(missing, s)
		}
	}
	if missing != nil {
		diffs = append(diffs, fmt.Sprintf("subjects are %v, want %v too", have.Subjects, missing))
		have.Subjects = append(slices.Clone(have.Subjects), missing...)
	}
	return diffs
}

// needEvents insists on the shape that makes thousands of consumers possible.
func needEvents(have *jetstream.StreamConfig, want jetstream.StreamConfig) []string {
	var diffs []string
	if !slices.Equal(have.Subjects, want.Subjects) {
		diffs = append(diffs, fmt.Sprintf("subjects are %v, want %v", have.Subjects, want.Subjects))
		have.Subjects = want.Subjects
	}
	if have.SubjectTransform == nil || *have.SubjectTransform != *want.SubjectTransform {
		from := "none"
		if t := have.SubjectTransform; t != nil {
			from = t.Source + " -> " + t.Destination
		}
		diffs = append(diffs, fmt.Sprintf("subject transform is %s, want %s -> %s", from, want.SubjectTransform.Source, want.SubjectTransform.Destination))
		have.SubjectTransform = want.SubjectTransform
	}
	diffs = set(diffs, "retention", &have.Retention, want.Retention)
	diffs = set(diffs, "discard", &have.Discard, want.Discard)
	diffs = set(diffs, "max age", &have.MaxAge, want.MaxAge)
	diffs = set(diffs, "duplicate window", &have.Duplicates, want.Duplicates)
	diffs = set(diffs, "max consumers", &have.MaxConsumers, want.MaxConsumers)
	diffs = set(diffs, "acknowledgement off", &have.NoAck, want.NoAck)
	diffs = set(diffs, "rollup allowed", &have.AllowRollup, want.AllowRollup)
	if want.MaxBytes > 0 {
		diffs = set(diffs, "max bytes", &have.MaxBytes, want.MaxBytes)
	}
	return diffs
}

// covers reports whether every subject that matches sub matches filter too.
func covers(filter, sub string) bool {
	f, s := strings.Split(filter, "."), strings.Split(sub, ".")
	for i, t := range f {
		switch {
		case t == ">":
			return i < len(s)
		case i >= len(s), s[i] == ">", t != "*" && t != s[i]:
			return false
		}
	}
	return len(f) == len(s)
}

// settle is how long a stream that has disappeared must stay away before it is
// made again. A server lists it no more, and tells of its consumers' end, before
// it removes the files; a stream made in between loses its own with them and
// stores nothing ever after.
const settle = 2 * time.Second

// back notes that a stream is there.
func back(gone *time.Time) {
	if gone != nil {
		*gone = time.Time{}
	}
}

// lookTimeout bounds one look at a stream or a consumer. A server that dies takes
// the request with it, and the next one is answered long before a patient client
// gives the first one up.
const lookTimeout = 1500 * time.Millisecond

// ensure creates the stream or changes it to what is needed. gone, unless it is nil,
// tells that the stream has been there before, and keeps since when it is not: it has
// to settle once, however often it can't be made then.
func (s *Streams) ensure(ctx context.Context, want jetstream.StreamConfig, needs need, gone *time.Time) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, settle+2*s.cfg.APITimeout)
	defer cancel()
	for {
		limited, cancel := context.WithTimeout(ctx, lookTimeout)
		st, err := s.js.Stream(limited, want.Name)
		cancel()
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			if gone != nil {
				if gone.IsZero() {
					*gone = time.Now()
					s.log.Warn("stream has disappeared and is made again", "stream", want.Name, "in", settle)
				}
				if left := settle - time.Since(*gone); left > 0 {
					if !wait(ctx, left) {
						return nil, context.Cause(ctx)
					}
					continue
				}
			}
			st, err = s.js.CreateStream(ctx, want)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				continue // somebody with other settings was faster: look at them
			}
			if err != nil {
				return nil, fmt.Errorf("create stream %s with subjects %v: %w", want.Name, want.Subjects, err)
			}
			back(gone)
			return st.CachedInfo(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("look up stream %s: %w", want.Name, err)
		}
		back(gone)
		info := st.CachedInfo()
		next := info.Config
		diffs := needs(&next, want)
		if s.cfg.Replicas > 0 {
			diffs = set(diffs, "replicas", &next.Replicas, s.cfg.Replicas)
		}
		if info.Config.Storage != want.Storage {
			// The server cannot change it, and nothing depends on it.
			s.log.Warn("stream keeps its storage", "stream", want.Name, "have", info.Config.Storage.String(), "want", want.Storage.String())
		}
		if len(diffs) == 0 {
			return info, nil
		}
		what := strings.Join(diffs, "; ")
		st, err = s.js.UpdateStream(ctx, next)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s %w: %s: %w (change it with \"nats stream edit\", or remove it if it is not ours)", want.Name, ErrDiffers, what, err)
		}
		s.log.Info("stream changed", "stream", want.Name, "changes", what)
		return st.CachedInfo(), nil
	}
}
