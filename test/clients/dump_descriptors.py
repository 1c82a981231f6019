"""Prints the protocol descriptors that the installed pymilvus carries, as one JSON object.

The test beside this file compares them with proto/milvus/. Only the Python standard library and the
protobuf runtime that pymilvus itself depends on are used. Names are full protobuf names without a
leading dot; labels are "optional", "required" or "repeated", as descriptor.proto has them.
"""

import importlib
import importlib.util
import json
import sys

from google.protobuf import descriptor_pb2

MODULES = ("common", "schema", "msg", "feder", "rg", "milvus", "tokenizer")
FieldProto = descriptor_pb2.FieldDescriptorProto


def type_name_of(field):
    """TYPE_INT64 -> "int64"; messages and enums say so, their name is in type_name."""
    return FieldProto.Type.Name(field.type)[len("TYPE_"):].lower()


def label_of(field):
    return FieldProto.Label.Name(field.label)[len("LABEL_"):].lower()


def dump_message(message, prefix, out):
    name = prefix + message.name
    fields = []
    for field in message.field:
        oneof = None
        if field.HasField("oneof_index") and not field.proto3_optional:
            oneof = message.oneof_decl[field.oneof_index].name
        fields.append({
            "name": field.name,
            "number": field.number,
            "type": type_name_of(field),
            "label": label_of(field),
            "type_name": field.type_name.lstrip("."),
            "oneof": oneof,
            "proto3_optional": field.proto3_optional,
            "deprecated": field.options.deprecated,
        })
    out["messages"][name] = {
        "fields": fields,
        "map_entry": message.options.map_entry,
        "reserved_ranges": [[r.start, r.end - 1] for r in message.reserved_range],
        "reserved_names": list(message.reserved_name),
    }
    for enum in message.enum_type:
        dump_enum(enum, name + ".", out)
    for nested in message.nested_type:
        dump_message(nested, name + ".", out)


def dump_enum(enum, prefix, out):
    out["enums"][prefix + enum.name] = {
        "values": {value.name: value.number for value in enum.value},
        "allow_alias": enum.options.allow_alias,
        "deprecated": enum.options.deprecated,
    }


def dump_file(file_descriptor, out):
    proto = descriptor_pb2.FileDescriptorProto()
    file_descriptor.CopyToProto(proto)
    prefix = proto.package + "." if proto.package else ""
    out["files"][proto.name] = {"package": proto.package, "imports": list(proto.dependency)}
    for message in proto.message_type:
        dump_message(message, prefix, out)
    for enum in proto.enum_type:
        dump_enum(enum, prefix, out)
    for service in proto.service:
        out["services"][prefix + service.name] = {
            method.name: {
                "input": method.input_type.lstrip("."),
                "output": method.output_type.lstrip("."),
                "client_streaming": method.client_streaming,
                "server_streaming": method.server_streaming,
                "deprecated": method.options.deprecated,
            }
            for method in service.method
        }


def main():
    out = {"files": {}, "messages": {}, "enums": {}, "services": {}, "absent_modules": []}
    for name in MODULES:
        module = "pymilvus.grpc_gen.%s_pb2" % name
        if importlib.util.find_spec(module) is None:
            out["absent_modules"].append(name)
            continue
        dump_file(importlib.import_module(module).DESCRIPTOR, out)
    json.dump(out, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
