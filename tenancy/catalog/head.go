package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

const (
	// headFormat is the newest form of a head this code can read. A form that only
	// adds fields keeps the number.
	headFormat = 1
	// maxChanges bounds the changes a head remembers; the oldest go first.
	maxChanges = 64
	// maxDescription bounds, in bytes, the descriptions kept in a head. A longer
	// one is read from the body when somebody lists.
	maxDescription = 1024
	// maxReplaced bounds what a head remembers of replaced versions, so how many
	// deploys of one application may wait for their second question at once: one
	// that was pushed out is not taken back.
	maxReplaced = 32
)

// head is the stored record of an application.
type head struct {
	Format int `json:"format"`
	// Born is unique per creation, so that a re-created application is not taken
	// for the one that was there before.
	Born     string          `json:"born"`
	Versions []storedVersion `json:"versions"`
	Deployed *string         `json:"deployed"`
	// Deploys counts deployments, so that deploying the same version again shows.
	Deploys uint64   `json:"deploys"`
	Changes []Change `json:"changes,omitempty"`
	// Replaced is what the last deploys replaced, oldest first, without those taken
	// back; the last one is the deploy of Deployed. Nothing deployed, nothing in it.
	// It may be missing: earlier heads have none, and earlier servers drop it.
	Replaced []replaced `json:"replaced,omitempty"`
}

// replaced is what one deploy replaced.
type replaced struct {
	// By is the id of the deploy.
	By string `json:"by"`
	// Body is the body of what was deployed before, empty when nothing was. Not its
	// version, which may be deleted and put anew with another manifest.
	Body string `json:"body,omitempty"`
}

// storedVersion is one version in put order.
type storedVersion struct {
	Version     string    `json:"version"`
	Body        string    `json:"body"`
	At          time.Time `json:"at"`
	By          string    `json:"by,omitempty"`
	Description *string   `json:"description,omitempty"`
	// LongDescription: there is a description, but only in the body.
	LongDescription bool `json:"long_description,omitempty"`
}

// Change is one entry of an application's history.
type Change struct {
	// ID is unique and ordered by time.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// By names who asked for it; empty when nobody said.
	By string `json:"by,omitempty"`
	// Did is put, deploy, undeploy, delete or adopt.
	Did     string `json:"did"`
	Version string `json:"version,omitempty"`
	// Trace is the W3C trace context of the request.
	Trace string `json:"trace,omitempty"`
}

// traceOf is the trace context of a request, empty when it is not traced.
func traceOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

func decodeHead(data []byte) (*head, error) {
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	if h.Format < 1 || h.Format > headFormat {
		return nil, fmt.Errorf("%w: format %d is not known here", ErrUndecodable, h.Format)
	}
	if len(h.Versions) == 0 {
		return nil, fmt.Errorf("%w: no versions", ErrUndecodable)
	}
	seen := make(map[string]bool, len(h.Versions))
	for _, v := range h.Versions {
		if seen[v.Version] {
			return nil, fmt.Errorf("%w: version %q twice", ErrUndecodable, v.Version)
		}
		seen[v.Version] = true
		if !isBody(v.Body) {
			return nil, fmt.Errorf("%w: version %q has body key %q", ErrUndecodable, v.Version, v.Body)
		}
	}
	if h.Deployed != nil && !seen[*h.Deployed] {
		return nil, fmt.Errorf("%w: deployed version %q is not stored", ErrUndecodable, *h.Deployed)
	}
	return &h, nil
}

func (h *head) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		return nil, fmt.Errorf("encode head: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// clone copies what a change may alter. The elements are values.
func (h *head) clone() *head {
	c := *h
	c.Versions = slices.Clone(h.Versions)
	c.Changes = slices.Clone(h.Changes)
	c.Replaced = slices.Clone(h.Replaced)
	return &c
}

func (h *head) find(version string) (storedVersion, bool) {
	i := slices.IndexFunc(h.Versions, func(v storedVersion) bool { return v.Version == version })
	if i < 0 {
		return storedVersion{}, false
	}
	return h.Versions[i], true
}

// deploy makes v the deployed version. id is the one of the deploy.
func (h *head) deploy(v storedVersion, id string) {
	r := replaced{By: id}
	if h.Deployed != nil {
		was, _ := h.find(*h.Deployed)
		r.Body = was.Body
	}
	h.Replaced = append(h.Replaced, r)
	if n := len(h.Replaced) - maxReplaced; n > 0 {
		h.Replaced = slices.Clone(h.Replaced[n:])
	}
	h.Deployed = &v.Version
	h.Deploys++
}

// undeploy makes no version the deployed one. No deploy of before can be taken
// back after it.
func (h *head) undeploy() { h.Deployed, h.Replaced = nil, nil }

func (h *head) last() storedVersion { return h.Versions[len(h.Versions)-1] }

func (h *head) note(c Change) {
	h.Changes = append(h.Changes, c)
	if n := len(h.Changes) - maxChanges; n > 0 {
		h.Changes = slices.Clone(h.Changes[n:])
	}
}

func (h *head) noted(id string) bool {
	return slices.ContainsFunc(h.Changes, func(c Change) bool { return c.ID == id })
}

func (h *head) bodies() []string {
	out := make([]string, len(h.Versions))
	for i, v := range h.Versions {
		out[i] = v.Body
	}
	return out
}

// isBody tells whether s can be the last token of a body key.
func isBody(s string) bool {
	return len(s) == bodyLen && strings.Trim(s, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}
