package admin

import (
	"errors"
	"net/url"
	"strings"

	"kong-go-plugins/keyauth/store"
)

// A consumerInput is what a body says of a consumer.
type consumerInput struct {
	id, username, customID optional[string]
	tags                   optional[[]string]
	createdAt              optional[int64]
}

func (c *call) consumerInput() consumerInput {
	in := consumerInput{
		id: c.in.uuid("id"), username: c.in.text("username", maxText), customID: c.in.text("custom_id", maxText),
		tags: set(c.in, "tags", readTag), createdAt: c.createdAt(),
	}
	c.in.timestamp("updated_at", 1) // Kong takes it and sets its own
	return in
}

// createdAt is in milliseconds for those who know Kong 0.x.
func (c *call) createdAt() optional[int64] {
	if c.Seed {
		return c.in.timestamp("created_at", 1000)
	}
	return c.in.timestamp("created_at", 1)
}

func (in consumerInput) apply(c *store.Consumer, now int64) {
	in.username.apply(&c.Username)
	in.customID.apply(&c.CustomID)
	in.tags.apply(&c.Tags)
	if in.createdAt.value != 0 {
		c.CreatedAt = in.createdAt.value
	}
	c.UpdatedAt = now
}

// checkConsumer wants a name.
func (c *call) checkConsumer(consumer store.Consumer) error {
	if consumer.Username == "" && consumer.CustomID == "" && len(c.in.wrong) == 0 {
		c.in.wrong["@entity"] = []any{"at least one of these fields must be non-empty: 'custom_id', 'username'"}
	}
	return c.in.err()
}

// findConsumer returns the consumer with this id or username.
func (c *call) findConsumer(ref string) (store.Consumer, error) {
	if !store.IsUUID(ref) {
		return c.Store.Consumer(c.ctx, ref)
	}
	id := strings.ToLower(ref)
	consumer, err := c.Store.Consumer(c.ctx, id)
	if err == nil && consumer.ID != id {
		return consumer, store.ErrNotFound // a username that looks like an id
	}
	return consumer, err
}

func listConsumers(c *call) (answer, error) {
	if c.query.Has("custom_id") {
		return consumerByCustomID(c)
	}
	q, err := c.listQuery()
	if err != nil {
		return answer{}, err
	}
	match := func(consumer store.Consumer) bool {
		return (q.tags == nil || q.tags(consumer.Tags)) && c.query.fits("id", consumer.ID) && c.query.fits("username", consumer.Username)
	}
	page, next, err := c.Store.Consumers(c.ctx, store.ConsumerQuery{Size: q.size, Offset: q.offset, Match: match})
	if err != nil {
		return answer{}, err
	}
	data := make([]any, len(page))
	for i, consumer := range page {
		data[i] = c.consumerShape(consumer)
	}
	var total *int
	if q.total {
		total = new(int)
		count := func(consumer store.Consumer) bool {
			if match(consumer) {
				*total++
			}
			return false
		}
		if _, _, err := c.Store.Consumers(c.ctx, store.ConsumerQuery{Size: 1, Match: count}); err != nil {
			return answer{}, err
		}
	}
	return ok(c.list(data, next, total, "/consumers", c.query.Values))
}

// fits reports whether a filter is absent or is the value.
func (q query) fits(name, value string) bool { return !q.Has(name) || q.Get(name) == value }

func consumerByCustomID(c *call) (answer, error) {
	customID := c.query.Get("custom_id")
	if customID == "" || len(c.query.Values["custom_id"]) > 1 {
		return answer{}, message(400, "custom_id must be an unempty string")
	}
	var data []any
	consumer, err := c.Store.ConsumerByCustomID(c.ctx, customID)
	switch {
	case err == nil:
		data = append(data, c.consumerShape(consumer))
	case !errors.Is(err, store.ErrNotFound):
		return answer{}, err
	}
	var total *int
	if c.Seed || c.query.Get("total") == "true" {
		n := len(data)
		total = &n
	}
	return ok(c.list(data, "", total, "", nil))
}

func createConsumer(c *call) (answer, error) {
	in, now := c.consumerInput(), c.now().Unix()
	consumer := store.Consumer{ID: in.id.value, CreatedAt: now}
	if consumer.ID == "" {
		consumer.ID = store.NewID()
	}
	in.apply(&consumer, now)
	if err := c.checkConsumer(consumer); err != nil {
		return answer{}, err
	}
	if err := c.Store.CreateConsumer(c.ctx, consumer); err != nil {
		return answer{}, err
	}
	return answer{201, c.consumerShape(consumer)}, c.record("create", consumerEntity, consumer.ID, consumer.ID, c.in.names())
}

func getConsumer(c *call) (answer, error) {
	consumer, err := c.findConsumer(c.params["consumer"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.consumerShape(consumer))
}

func patchConsumer(c *call) (answer, error) {
	if c.Seed && len(c.in.values) == 0 {
		return answer{}, message(400, "empty body")
	}
	ref := c.params["consumer"]
	consumer, err := c.findConsumer(ref)
	if errors.Is(err, store.ErrNotFound) {
		if err := c.checkedOnly(); err != nil {
			return answer{}, err
		}
		if store.IsUUID(ref) {
			return answer{}, notFoundBy("id", ref)
		}
		return answer{}, notFoundBy("username", strings.ToValidUTF8(ref, "?"))
	}
	if err != nil {
		return answer{}, err
	}
	return c.updateConsumer(consumer.ID, false)
}

// checkedOnly checks a body that will not be used: Kong finds its mistakes before it looks for the consumer.
func (c *call) checkedOnly() error {
	c.consumerInput()
	return c.in.err()
}

// updateConsumer changes the consumer of this id; replace forgets what the body does not say.
func (c *call) updateConsumer(id string, replace bool, names ...func(*store.Consumer)) (answer, error) {
	in, now := c.consumerInput(), c.now().Unix()
	if in.id.value != "" && in.id.value != id {
		c.in.wrong["id"] = "immutable field cannot be updated"
	}
	if err := c.in.err(); err != nil {
		return answer{}, err
	}
	consumer, err := c.Store.UpdateConsumer(c.ctx, id, func(consumer *store.Consumer) error {
		if replace {
			*consumer = store.Consumer{ID: consumer.ID, CreatedAt: consumer.CreatedAt}
		}
		in.apply(consumer, now)
		for _, name := range names {
			name(consumer)
		}
		return c.checkConsumer(*consumer)
	})
	if err != nil {
		return answer{}, err
	}
	action := "update"
	if replace {
		action = "replace"
	}
	return answer{200, c.consumerShape(consumer)}, c.record(action, consumerEntity, id, id, c.in.names())
}

// putConsumer replaces a consumer, or makes one of the id or username in the path.
func putConsumer(c *call) (answer, error) {
	ref := c.params["consumer"]
	var named []func(*store.Consumer)
	if !store.IsUUID(ref) {
		if _, wrong := readName(ref); wrong != nil {
			return answer{}, violations(map[string]any{"username": wrong})
		}
		named = append(named, func(consumer *store.Consumer) { consumer.Username = ref })
	}
	for {
		consumer, err := c.findConsumer(ref)
		if err == nil {
			return c.updateConsumer(consumer.ID, true, named...)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return answer{}, err
		}
		in, now := c.consumerInput(), c.now().Unix()
		consumer = store.Consumer{ID: in.id.value, CreatedAt: now}
		in.apply(&consumer, now)
		switch {
		case store.IsUUID(ref):
			consumer.ID = strings.ToLower(ref)
		case consumer.ID == "":
			consumer.ID = store.NewID()
		}
		for _, name := range named {
			name(&consumer)
		}
		if err := c.checkConsumer(consumer); err != nil {
			return answer{}, err
		}
		err = c.Store.CreateConsumer(c.ctx, consumer)
		var conflict *store.ConflictError
		if errors.As(err, &conflict) && (store.IsUUID(ref) && conflict.Field == "id" || !store.IsUUID(ref) && conflict.Field == "username") {
			continue // somebody has made it meanwhile
		}
		if err != nil {
			return answer{}, err
		}
		return answer{200, c.consumerShape(consumer)}, c.record("create", consumerEntity, consumer.ID, consumer.ID, c.in.names())
	}
}

// putConsumers is PUT on the collection, which Kong 0.x has: the id in the body decides.
func putConsumers(c *call) (answer, error) {
	id := c.in.uuid("id")
	if id.value == "" {
		return createConsumer(c)
	}
	return c.updateConsumer(id.value, true)
}

func deleteConsumer(c *call) (answer, error) {
	consumer, err := c.findConsumer(c.params["consumer"])
	if errors.Is(err, store.ErrNotFound) && !c.Seed {
		return noContent()
	}
	if err != nil {
		return answer{}, err
	}
	events := []event{}
	for offset := ""; ; {
		page, next, err := c.Store.Credentials(c.ctx, store.CredentialQuery{ConsumerID: consumer.ID, Size: maxSize, Offset: offset})
		if err != nil {
			return answer{}, err
		}
		for _, credential := range page {
			events = append(events, c.event("delete", credentialEntity, credential.ID, consumer.ID, nil))
		}
		if offset = next; offset == "" {
			break
		}
	}
	if err := c.Store.DeleteConsumer(c.ctx, consumer.ID); err != nil && (c.Seed || !errors.Is(err, store.ErrNotFound)) {
		return answer{}, err
	}
	return answer{204, nil}, c.recordAll(append(events, c.event("delete", consumerEntity, consumer.ID, consumer.ID, nil))...)
}

// consumerPath is where a consumer's keys are.
func consumerPath(ref string) string { return "/consumers/" + url.PathEscape(ref) + "/key-auth" }
