"""The OpenAPI document, generated from the route table and the wire structs. Nothing in it is written twice."""
