package api

import (
	"bytes"
	"encoding/json"
	"fmt"

	"wadm/tenancy"
)

// The words of the field "result".
const (
	resultError        = "error"
	resultSuccess      = "success"
	resultNotFound     = "notfound"
	resultCreated      = "created"
	resultNewVersion   = "newversion"
	resultDeleted      = "deleted"
	resultNoop         = "noop"
	resultAcknowledged = "acknowledged"
	resultOK           = "ok"
)

const storageError = "Internal storage error"

// errorReply is the envelope of every refusal.
type errorReply struct {
	Message string `json:"message"`
	Result  string `json:"result"`
	// Versions and Models are set, and empty, where clients cannot decode a reply
	// without them.
	Versions *[]VersionInfo  `json:"versions,omitempty"`
	Models   *[]ModelSummary `json:"models,omitempty"`
}

// refuse builds the error reply to op.
func refuse(op operation, message string) errorReply {
	r := errorReply{Message: message, Result: resultError}
	switch op {
	case opVersions:
		r.Versions = &[]VersionInfo{}
	case opList:
		r.Models = &[]ModelSummary{}
	}
	return r
}

type putReply struct {
	Result         string `json:"result"`
	TotalVersions  int    `json:"total_versions"`
	CurrentVersion string `json:"current_version"`
	Message        string `json:"message"`
	Name           string `json:"name"`
}

type getReply struct {
	Result   string          `json:"result"`
	Message  string          `json:"message"`
	Manifest json.RawMessage `json:"manifest,omitempty"`
}

type explainReply struct {
	Result      string          `json:"result"`
	Message     string          `json:"message"`
	Explanation json.RawMessage `json:"explanation,omitempty"`
}

// noOwner is the refusal to explain; a lattice is without an owner for a moment
// when it moves to another server.
const noOwner = "No server acts for this lattice at the moment, please retry the request"

type listReply struct {
	Result  string         `json:"result"`
	Message string         `json:"message"`
	Models  []ModelSummary `json:"models"`
}

// ModelSummary is what a list says of one application.
type ModelSummary struct {
	Name string `json:"name"`
	// Version is the last put one.
	Version string `json:"version"`
	// Description is nil when there is none.
	Description *string `json:"description"`
	// DeployedVersion is nil when none is.
	DeployedVersion *string        `json:"deployed_version"`
	DetailedStatus  tenancy.Status `json:"detailed_status"`
	// Status is the type of DetailedStatus, except that waiting reads undeployed.
	Status        tenancy.StatusType `json:"status"`
	StatusMessage string             `json:"status_message"`
}

type versionsReply struct {
	Result   string        `json:"result"`
	Message  string        `json:"message"`
	Versions []VersionInfo `json:"versions"`
}

// VersionInfo is one stored version.
type VersionInfo struct {
	Version  string `json:"version"`
	Deployed bool   `json:"deployed"`
}

type deployReply struct {
	Result  string  `json:"result"`
	Message string  `json:"message"`
	Name    string  `json:"name"`
	Version *string `json:"version"`
}

type deleteReply struct {
	Result   string `json:"result"`
	Message  string `json:"message"`
	Undeploy bool   `json:"undeploy"`
}

type statusReply struct {
	Result  string          `json:"result"`
	Message string          `json:"message"`
	Status  *tenancy.Status `json:"status,omitempty"`
}

// encode writes compact JSON in which only what must be escaped is.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode reply: %w", err)
	}
	return plain(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// plain undoes the one escape the encoder cannot be talked out of: the line
// separators U+2028 and U+2029.
func plain(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u202`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		if rest := b[i+1:]; bytes.HasPrefix(rest, []byte("u2028")) || bytes.HasPrefix(rest, []byte("u2029")) {
			out = append(out, 0xe2, 0x80, 0xa0+rest[4]-'0')
			i += 5
			continue
		}
		out = append(out, b[i], b[i+1])
		i++
	}
	return out
}
