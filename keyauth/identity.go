package keyauth

import (
	"errors"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth/store"
)

// Headers by which the upstream learns who asks. Clients must not get through with them.
const (
	headerConsumerID  = "X-Consumer-ID"
	headerCustomID    = "X-Consumer-Custom-ID"
	headerUsername    = "X-Consumer-Username"
	headerCredential  = "X-Credential-Identifier"
	headerOldUsername = "X-Credential-Username" // Kong 0.x to 2.0
	headerAnonymous   = "X-Anonymous-Consumer"
	groupsSharedKey   = "authenticated_groups"     // where the acl plugin looks
	credentialCtxKey  = "authenticated_credential" // where Kong keeps what an earlier plugin has found
	consumerCtxKey    = "authenticated_consumer"
)

// identify makes a key's owner the consumer of the request, for Kong's other plugins and for the upstream. Nothing here
// waits for Kong.
func identify(kong *pdk.PDK, consumer *entities.Consumer, e *store.Entry) error {
	err := pluginserver.Authenticate(kong, consumer, &client.AuthenticatedCredential{Id: e.ID, ConsumerId: consumer.Id})
	if len(e.Groups) > 0 {
		groups := make([]any, len(e.Groups))
		for i, g := range e.Groups {
			groups[i] = g
		}
		err = errors.Join(err, kong.Ctx.SetShared(groupsSharedKey, groups))
	}
	return errors.Join(err, setIdentity(kong, consumer, e.ID, ""))
}

// identifyAnonymous makes the anonymous consumer that of the request.
func identifyAnonymous(kong *pdk.PDK, consumer *entities.Consumer) error {
	return errors.Join(pluginserver.Authenticate(kong, consumer, nil), setIdentity(kong, consumer, "", "true"))
}

// forgetClaims clears what a client says of itself.
func forgetClaims(kong *pdk.PDK) error { return setIdentity(kong, &entities.Consumer{}, "", "") }

// setIdentity sets or clears every header that tells the upstream who asks.
func setIdentity(kong *pdk.PDK, c *entities.Consumer, credentialID, isAnonymous string) error {
	return pluginserver.SetServiceHeaders(kong,
		pluginserver.ServiceHeader{Name: headerConsumerID, Value: c.Id},
		pluginserver.ServiceHeader{Name: headerCustomID, Value: c.CustomId},
		pluginserver.ServiceHeader{Name: headerUsername, Value: c.Username},
		pluginserver.ServiceHeader{Name: headerCredential, Value: credentialID},
		pluginserver.ServiceHeader{Name: headerOldUsername},
		pluginserver.ServiceHeader{Name: headerAnonymous, Value: isAnonymous},
	)
}

// owner returns the consumer of an entry: as the store knows it, or else as Kong does; nil when there is none.
func (c *Config) owner(kong *pdk.PDK, s *settings, e *store.Entry) (*entities.Consumer, error) {
	if own := &e.Consumer; own.ID != "" {
		return &entities.Consumer{Id: own.ID, CreatedAt: int(own.CreatedAt), Username: own.Username, CustomId: own.CustomID, Tags: own.Tags}, nil
	}
	return c.gate.consumers.find(loaderOf(kong), consumerRef{s.workspace, e.ConsumerRef}, s.consumers)
}
