package admin

import "kong-go-plugins/keyauth/store"

// consumerOf finds the consumer of the credential in the path and makes it that of the path.
func (c *call) consumerOf() error {
	credential, err := c.find("")
	if err != nil {
		return err
	}
	if credential.Consumer.ID == "" {
		return store.ErrNotFound // the file does not have it
	}
	c.params["consumer"] = credential.Consumer.ID
	return nil
}

func getConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return getConsumer(c)
}

func putConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return putConsumer(c)
}

func patchConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return patchConsumer(c)
}

// deleteConsumerOf is refused, as in Kong: a consumer is removed by its own address.
func deleteConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return answer{}, message(405, "Method not allowed")
}
