package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// cloudEvent is the envelope of a manifest event, in wire order.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	DataContentType string          `json:"datacontenttype"`
	Time            string          `json:"time"`
	Data            json.RawMessage `json:"data"`
}

// publishTimeout bounds one publication of an event.
const publishTimeout = 3 * time.Second

func (s *Server) announcePublished(ctx context.Context, key tenancy.LatticeKey, m *manifest.Manifest) error {
	data, err := m.EventJSON()
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	return s.announce(ctx, key, "manifest_published", data, true)
}

// announceUnpublished tells that nothing of app is deployed. existed: the catalog
// knows, or knew, the application.
func (s *Server) announceUnpublished(ctx context.Context, key tenancy.LatticeKey, app string, existed bool) error {
	data, err := encode(struct {
		Name string `json:"name"`
	}{app})
	if err != nil {
		return err
	}
	return s.announce(ctx, key, "manifest_unpublished", data, existed)
}

// announce publishes a manifest event and waits until it is stored. When nothing
// stores the tenant's events, it adds their subject to the stream if mayAdd; if not,
// nothing was ever announced for the tenant, and the event is sent without storing it.
func (s *Server) announce(ctx context.Context, key tenancy.LatticeKey, kind string, data []byte, mayAdd bool) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	body, err := encode(cloudEvent{
		SpecVersion: "1.0", ID: id.String(), Type: "com.wadm." + kind, Source: "wadm",
		DataContentType: "application/json", Time: s.cfg.Now().UTC().Format(time.RFC3339Nano), Data: data,
	})
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: s.subject(key, "wadm.evt", kind), Data: body, Header: inject(ctx)}
	var tenant tenancy.Tenant
	if s.cfg.Multitenant {
		tenant = key.Tenant
		if _, known := s.tenants.Load(tenant); !known {
			if !mayAdd {
				return s.nc.PublishMsg(m)
			}
			if err := s.ensureStreams(ctx, tenant); err != nil {
				return err
			}
			s.tenants.Store(tenant, true)
		}
	}
	for try := 0; ; try++ {
		pctx, cancel := context.WithTimeout(ctx, publishTimeout)
		_, err = s.js.PublishMsg(pctx, m)
		cancel()
		if err == nil {
			return nil
		}
		if try > 0 || ctx.Err() != nil {
			return fmt.Errorf("publish %s: %w", kind, err)
		}
		// Tools remove the streams by name while servers run, and of two servers that
		// add a subject at once one may lose. With other subscribers that is silence.
		if err := s.ensureStreams(ctx, tenant); err != nil {
			return err
		}
	}
}
