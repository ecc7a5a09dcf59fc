package frames

// IsSecretName reports whether text sounds like the name of a secret: a header, an argument or a field whose value the
// texts of this package leave out.
func IsSecretName(text string) bool { return isSecretName(text) }
