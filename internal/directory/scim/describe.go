package scim

// described are what the service says of itself (RFC 7643, sections 5 to 7).
var described = map[string]func(root string) any{
	"/ServiceProviderConfig": func(root string) any {
		no := object{"supported": false}
		return object{
			"schemas":        []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
			"patch":          object{"supported": true},
			"bulk":           object{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
			"filter":         object{"supported": true, "maxResults": maxCount},
			"changePassword": no, "sort": no,
			"etag":                  object{"supported": true},
			"authenticationSchemes": []object{{"type": "oauthbearertoken", "name": "Bearer token", "description": "The token of the gateway's configuration", "primary": true}},
			"meta":                  object{"resourceType": "ServiceProviderConfig", "location": root + "/ServiceProviderConfig"},
		}
	},
	"/ResourceTypes":       func(root string) any { return listOf(userType(root), groupType(root)) },
	"/ResourceTypes/User":  func(root string) any { return userType(root) },
	"/ResourceTypes/Group": func(root string) any { return groupType(root) },
	"/Schemas":             func(root string) any { return listOf(schemas(root)...) },
	"/Schemas/" + userSchema: func(root string) any {
		return schemas(root)[0]
	},
	"/Schemas/" + groupSchema:      func(root string) any { return schemas(root)[1] },
	"/Schemas/" + enterpriseSchema: func(root string) any { return schemas(root)[2] },
}

func listOf(all ...object) object {
	return object{
		"schemas":      []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"},
		"totalResults": len(all), "startIndex": 1, "itemsPerPage": len(all), "Resources": all,
	}
}

func resourceType(root, name, schema string) object {
	return object{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": name, "name": name, "endpoint": "/" + name + "s", "schema": schema,
		"meta": object{"resourceType": "ResourceType", "location": root + "/ResourceTypes/" + name},
	}
}

func userType(root string) object {
	t := resourceType(root, userKind, userSchema)
	t["schemaExtensions"] = []object{{"schema": enterpriseSchema, "required": false}}
	return t
}

func groupType(root string) object { return resourceType(root, groupKind, groupSchema) }

func schemas(root string) []object {
	schema := func(id, name string, attributes ...object) object {
		return object{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": id, "name": name, "attributes": attributes,
			"meta": object{"resourceType": "Schema", "location": root + "/Schemas/" + id},
		}
	}
	return []object{
		schema(userSchema, "User",
			must(attribute("userName", "string", "server")), attribute("displayName", "string", "none"), attribute("active", "boolean", "none"),
			attribute("title", "string", "none"), attribute("userType", "string", "none"), attribute("locale", "string", "none"),
			complexOf("name", false, "formatted", "givenName", "familyName"), complexOf("emails", true, "value", "type", "primary"),
			readOnly(complexOf("groups", true, "value", "display", "$ref"))),
		schema(groupSchema, "Group", must(attribute("displayName", "string", "server")), fixed(complexOf("members", true, "value", "display", "type", "$ref"), "immutable")),
		schema(enterpriseSchema, "EnterpriseUser", attribute("department", "string", "none"), attribute("division", "string", "none"),
			attribute("organization", "string", "none"), attribute("costCenter", "string", "none"), attribute("employeeNumber", "string", "none")),
	}
}

func attribute(name, kind, uniqueness string) object {
	return object{
		"name": name, "type": kind, "multiValued": false, "required": false, "caseExact": false, "mutability": "readWrite",
		"returned": "default", "uniqueness": uniqueness,
	}
}

func must(a object) object {
	a["required"] = true
	return a
}

func readOnly(a object) object {
	a["mutability"] = "readOnly"
	return fixed(a, "readOnly")
}

// fixed says of the parts of a complex attribute what may be done to them.
func fixed(a object, mutability string) object {
	for _, sub := range a["subAttributes"].([]object) { // complexOf's
		sub["mutability"] = mutability
	}
	return a
}

func complexOf(name string, many bool, parts ...string) object {
	a := attribute(name, "complex", "none")
	a["multiValued"] = many
	subs := []object{}
	for _, p := range parts {
		kind := "string"
		switch p {
		case "primary":
			kind = "boolean"
		case "$ref":
			kind = "reference"
		}
		subs = append(subs, attribute(p, kind, "none"))
	}
	a["subAttributes"] = subs
	return a
}
