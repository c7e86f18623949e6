//! Every type of the contract, read from the layouts that abi_stable derives, and every constant, read from the sources.

use std::{fmt::Write as _, fs, path::Path};

use trainer_abi::{
    self as abi,
    abi_stable::{
        StableAbi,
        type_layout::{TLField, TypeLayout},
    },
};

/// A `#[repr(C)]` type of the contract.
pub struct Type {
    pub name: &'static str,
    pub size: usize,
    pub align: usize,
    pub fields: Vec<Field>,
}

pub struct Field {
    pub name: &'static str,
    pub offset: usize,
    pub size: usize,
    /// Its type as Rust writes it; of a function all parameters and the result.
    pub form: Form,
}

pub enum Form {
    Data(String),
    Function { parameters: Vec<(String, String)>, result: String },
}

/// The types by name. That none is missing, [`declared`] tells.
pub fn all() -> Vec<Type> {
    macro_rules! layouts {
        ($($name:ident)*) => { [$(<abi::$name as StableAbi>::LAYOUT),*] };
    }
    let plain = layouts![
        AugmentContext AugmentationTable Dtype ExportContext ExporterTable Extension Factory Fields FieldsTable Host Init
        LayersTable LogTable LossContext LossTable Metric Model ModelTable Object OptionsTable Parameters ParametersTable Pixels
        PlainRoot Progress Rates Sample SampleInfo SampleTable SchedulerTable Sink Status Str TensorData TensorInfo
        TensorTable Thunk Value
    ];
    let root = <abi::RootRef as StableAbi>::LAYOUT.generics().type_params()[0]();
    let mut types: Vec<Type> = plain.into_iter().chain([root]).map(described).collect();
    types.sort_by_key(|known| known.name);
    types
}

fn described(layout: &'static TypeLayout) -> Type {
    let mut end: usize = 0;
    let fields = layout.get_fields().into_iter().flatten();
    let fields = fields.map(|field| {
        // `repr(C)`: each field at the next place that its alignment allows.
        let (size, align) = (field.layout().size(), field.layout().alignment());
        let offset = end.next_multiple_of(align);
        end = offset + size;
        Field { name: field.name(), offset, size, form: form(&field) }
    });
    let fields = fields.collect();
    assert_eq!(end.next_multiple_of(layout.alignment()), layout.size(), "{} is not laid out as in C", layout.name());
    Type { name: layout.name(), size: layout.size(), align: layout.alignment(), fields }
}

fn form(field: &TLField) -> Form {
    let Some(function) = field.function_range().iter().next() else { return Form::Data(text(field.layout())) };
    let names = function.param_names.as_str().split([',', ';']).filter(|name| !name.is_empty());
    let types = function.param_type_layouts.iter().map(|layout| text(layout()));
    Form::Function {
        parameters: names.map(str::to_owned).zip(types).collect(),
        result: function.return_type_layout().map_or("()".into(), |layout| text(layout())),
    }
}

/// A type as Rust writes it, without abi_stable's own spacing.
fn text(layout: &'static TypeLayout) -> String {
    let words = layout.full_type().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    words.replace(" >", ">").replace("&'a ", "&'static ").replace(';', "; ")
}

/// All types as lines of text, with the constants: what `layout.txt` holds.
pub fn listing() -> String {
    let mut text = String::new();
    for Type { name, size, align, fields } in all() {
        let _ = writeln!(text, "{name}: {size} bytes, aligned to {align}");
        for Field { name, offset, form, .. } in fields {
            let _ = match form {
                Form::Data(data) => writeln!(text, "  {offset:3} {name}: {data}"),
                Form::Function { parameters, result } => {
                    let list: Vec<_> = parameters.iter().map(|(name, data)| format!("{name}: {data}")).collect();
                    writeln!(text, "  {offset:3} {name}: fn({}) -> {result}", list.join(", "))
                }
            };
        }
    }
    for Constant { group, name, value } in constants() {
        let _ = writeln!(text, "{group}::{name} = {value}");
    }
    text
}

/// A public constant of the sources.
pub struct Constant {
    /// The type or module that it stands in, `abi` for the crate itself.
    pub group: String,
    pub name: String,
    /// As the source has it: a number or a text in quotes.
    pub value: String,
}

/// The public numbers and texts of the crate, in the order of its files.
pub fn constants() -> Vec<Constant> {
    let mut found = Vec::new();
    for source in sources() {
        let mut group = "abi";
        for line in source.lines() {
            let opens = |word: &str| line.strip_prefix(word)?.split_once(" {").map(|(name, _)| name);
            group = match opens("impl ").or_else(|| opens("pub mod ")) {
                Some(name) => name,
                None if line == "}" => "abi",
                None => group,
            };
            let constant = || line.trim().strip_prefix("pub const ")?.split_once(": ");
            let Some((name, rest)) = constant() else { continue };
            let Some((_, value)) = rest.split_once(" = ") else { continue };
            let value = value.trim_end_matches(';').trim_start_matches("Self(").trim_end_matches(')');
            if value.starts_with('"') || value.parse::<i64>().is_ok() {
                found.push(Constant { group: group.into(), name: name.into(), value: value.into() });
            }
        }
    }
    found
}

/// The names of the types that the sources declare as part of the contract.
pub fn declared() -> Vec<String> {
    let struct_name = |part: &str| Some(part.split_once("pub struct ")?.1.split([' ', '(']).next()?.to_owned());
    let mut names: Vec<_> = sources()
        .iter()
        .flat_map(|text| text.split("#[derive(StableAbi").skip(1).filter_map(struct_name).collect::<Vec<_>>())
        .collect();
    names.sort();
    names
}

fn sources() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn the_list_holds_every_type_that_the_sources_declare() {
    let listed: Vec<_> = all().iter().map(|known| known.name).collect();
    assert_eq!(declared(), listed, "sdk/abi/tests/contract/types.rs lists other types than sdk/abi/src declares");
}

#[test]
fn offsets_are_those_of_the_compiler() {
    let offset = |kind: &str, field: &str| {
        let types = all();
        let found = types.iter().find(|known| known.name == kind).unwrap();
        found.fields.iter().find(|known| known.name == field).unwrap().offset
    };
    assert_eq!(offset("Object", "points"), std::mem::offset_of!(abi::Object, points));
    assert_eq!(offset("SampleInfo", "from_original"), std::mem::offset_of!(abi::SampleInfo, from_original));
    assert_eq!(offset("LossContext", "parameters"), std::mem::offset_of!(abi::LossContext, parameters));
    assert_eq!(offset("TensorInfo", "num_sizes"), std::mem::offset_of!(abi::TensorInfo, num_sizes));
    assert_eq!(offset("TensorTable", "to_bytes"), std::mem::offset_of!(abi::TensorTable, to_bytes));
}
