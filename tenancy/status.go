package tenancy

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// StatusType is one of the words clients know; they refuse a reply with any other.
type StatusType string

// The status types.
const (
	StatusWaiting     StatusType = "waiting"
	StatusUndeployed  StatusType = "undeployed"
	StatusReconciling StatusType = "reconciling"
	StatusDeployed    StatusType = "deployed"
	StatusFailed      StatusType = "failed"
	StatusUnhealthy   StatusType = "unhealthy"
)

// UnmarshalJSON also accepts the two words that older servers wrote.
func (t *StatusType) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	switch StatusType(s) {
	case StatusWaiting, StatusUndeployed, StatusReconciling, StatusDeployed, StatusFailed, StatusUnhealthy:
		*t = StatusType(s)
	case "compensating":
		*t = StatusReconciling
	case "ready":
		*t = StatusDeployed
	default:
		return fmt.Errorf("unknown status type %q", clip(s))
	}
	return nil
}

// StatusInfo is a status type with the text that explains it.
type StatusInfo struct {
	Type    StatusType `json:"type"`
	Message string     `json:"message,omitempty"`
}

// ScalerStatus is the status of one rule of a manifest.
type ScalerStatus struct {
	ID     string     `json:"id"`
	Kind   string     `json:"kind"`
	Name   string     `json:"name"`
	Status StatusInfo `json:"status"`
}

// Status is the public status of an application, byte-compatible with what
// clients read from the API and from the status stream.
type Status struct {
	Status  StatusInfo     `json:"status"`
	Scalers []ScalerStatus `json:"scalers,omitempty"`
	// Version is always written and always empty.
	Version string `json:"version"`
	// Components is always written and always empty.
	Components []struct{} `json:"components"`
}

// Encode gives the wire form: fields in table order, nothing escaped that need
// not be.
func (s Status) Encode() ([]byte, error) {
	if s.Components == nil {
		s.Components = []struct{}{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// DecodeStatus reads a status of the stream. Everything but the types is optional.
func DecodeStatus(b []byte) (Status, error) {
	var s Status
	if err := json.Unmarshal(b, &s); err != nil {
		return Status{}, fmt.Errorf("decode status: %w", err)
	}
	if s.Components == nil {
		s.Components = []struct{}{}
	}
	return s, nil
}
