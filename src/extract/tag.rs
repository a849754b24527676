//! The element names that extraction tells apart.

macro_rules! tags {
    ($($variant:ident $name:literal)*) => {
        /// A known element, or [`Tag::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Tag { $($variant,)* Other }

        impl Tag {
            /// How many there are.
            pub(super) const COUNT: usize = Tag::Other as usize + 1;

            /// The element that `name` (any case) stands for.
            #[inline]
            pub(super) fn of(name: &str) -> Self {
                match pack(name.as_bytes()) { $(packed::$variant => Self::$variant,)* _ => Self::Other }
            }
        }

        #[expect(non_upper_case_globals, reason = "named like the variants they stand for")]
        mod packed {
            $(pub(super) const $variant: u128 = super::pack($name);)*
        }
    };
}

/// Length of the longest known name.
const LONGEST: usize = 14;

/// A name in lower case as one number, so that looking it up is a search over integers; zero for a
/// name that is too long to be known.
const fn pack(name: &[u8]) -> u128 {
    if name.len() > LONGEST {
        return 0;
    }
    let mut packed = 0;
    let mut at = 0;
    while at < name.len() {
        packed = packed << 8 | name[at].to_ascii_lowercase() as u128;
        at += 1;
    }
    packed
}

tags! {
    A b"a" Abbr b"abbr" Address b"address" Annotation b"annotation"
    AnnotationXml b"annotation-xml" Applet b"applet" Area b"area" Article b"article"
    Aside b"aside" Audio b"audio" B b"b" Base b"base" Big b"big" Blockquote b"blockquote"
    Body b"body" Br b"br" Button b"button" Canvas b"canvas" Caption b"caption" Center b"center"
    Cite b"cite" Code b"code" Col b"col" Colgroup b"colgroup" Datalist b"datalist" Dd b"dd"
    Del b"del" Details b"details" Dialog b"dialog" Dir b"dir" Div b"div" Dl b"dl" Dt b"dt"
    Em b"em" Embed b"embed" Fieldset b"fieldset" Figcaption b"figcaption" Figure b"figure"
    Font b"font" Footer b"footer" Form b"form" Frame b"frame" Frameset b"frameset" H1 b"h1"
    H2 b"h2" H3 b"h3" H4 b"h4" H5 b"h5" H6 b"h6" Head b"head" Header b"header" Hgroup b"hgroup"
    Hr b"hr" Html b"html" I b"i" Iframe b"iframe" Img b"img" Input b"input" Kbd b"kbd"
    Label b"label" Legend b"legend" Li b"li" Link b"link" Listing b"listing" Main b"main"
    Map b"map" Marquee b"marquee" Math b"math" Menu b"menu" Meta b"meta" Meter b"meter"
    Mfrac b"mfrac" Mover b"mover" Mroot b"mroot" Msqrt b"msqrt" Msub b"msub" Msubsup b"msubsup"
    Msup b"msup" Mtd b"mtd" Mtr b"mtr" Munder b"munder" Munderover b"munderover"
    Nav b"nav" Nobr b"nobr" Noembed b"noembed" Noframes b"noframes" Noscript b"noscript"
    Object b"object" Ol b"ol" Optgroup b"optgroup" Option b"option" Output b"output" P b"p"
    Param b"param" Picture b"picture" Pre b"pre" Progress b"progress" Q b"q" Rp b"rp" Rt b"rt"
    Ruby b"ruby" S b"s" Samp b"samp" Script b"script" Search b"search" Section b"section"
    Select b"select" Small b"small" Source b"source" Span b"span" Strike b"strike"
    Strong b"strong" Style b"style" Sub b"sub" Summary b"summary" Sup b"sup" Svg b"svg"
    Table b"table" Tbody b"tbody" Td b"td" Template b"template" Textarea b"textarea"
    Tfoot b"tfoot" Th b"th" Thead b"thead" Time b"time" Title b"title" Tr b"tr" Track b"track"
    Tt b"tt" U b"u" Ul b"ul" Var b"var" Video b"video" Wbr b"wbr" Xmp b"xmp"
}

impl Tag {
    /// Has no content and no end tag.
    pub(super) const fn is_void(self) -> bool {
        use Tag::{
            Area, Base, Br, Col, Embed, Frame, Hr, Img, Input, Link, Meta, Param, Source, Track,
            Wbr,
        };
        matches!(
            self,
            Area | Base
                | Br
                | Col
                | Embed
                | Frame
                | Hr
                | Img
                | Input
                | Link
                | Meta
                | Param
                | Source
                | Track
                | Wbr
        )
    }

    /// Its content is characters up to its end tag, never markup.
    pub(super) const fn is_raw_text(self) -> bool {
        use Tag::{Iframe, Noembed, Noframes, Script, Style, Textarea, Title, Xmp};
        matches!(self, Iframe | Noembed | Noframes | Script | Style | Textarea | Title | Xmp)
    }

    /// Level of a heading element.
    pub(super) const fn heading_level(self) -> Option<u8> {
        Some(match self {
            Self::H1 => 1,
            Self::H2 => 2,
            Self::H3 => 3,
            Self::H4 => 4,
            Self::H5 => 5,
            Self::H6 => 6,
            _ => return None,
        })
    }

    /// Its start tag ends an open paragraph.
    pub(super) const fn closes_paragraph(self) -> bool {
        use Tag::{
            Address, Article, Aside, Blockquote, Center, Dd, Details, Dialog, Dir, Div, Dl, Dt,
            Fieldset, Figcaption, Figure, Footer, Form, Header, Hgroup, Hr, Li, Listing, Main,
            Menu, Nav, Ol, P, Pre, Search, Section, Summary, Table, Ul, Xmp,
        };
        self.heading_level().is_some()
            || matches!(
                self,
                Address
                    | Article
                    | Aside
                    | Blockquote
                    | Center
                    | Dd
                    | Details
                    | Dialog
                    | Dir
                    | Div
                    | Dl
                    | Dt
                    | Fieldset
                    | Figcaption
                    | Figure
                    | Footer
                    | Form
                    | Header
                    | Hgroup
                    | Hr
                    | Li
                    | Listing
                    | Main
                    | Menu
                    | Nav
                    | Ol
                    | P
                    | Pre
                    | Search
                    | Section
                    | Summary
                    | Table
                    | Ul
                    | Xmp
            )
    }

    /// Text before and after it stands on different lines.
    pub(super) const fn is_block(self) -> bool {
        use Tag::{
            Body, Button, Caption, Frameset, Html, Iframe, Legend, Marquee, Noframes, Noscript,
            Object, Optgroup, Option, Select, Tbody, Td, Textarea, Tfoot, Th, Thead, Tr, Video,
        };
        self.closes_paragraph()
            || matches!(
                self,
                Body | Button
                    | Caption
                    | Frameset
                    | Html
                    | Iframe
                    | Legend
                    | Marquee
                    | Noframes
                    | Noscript
                    | Object
                    | Optgroup
                    | Option
                    | Select
                    | Tbody
                    | Td
                    | Textarea
                    | Tfoot
                    | Th
                    | Thead
                    | Tr
                    | Video
            )
    }

    /// An inline element that may be closed across the blocks inside it.
    pub(super) const fn is_formatting(self) -> bool {
        use Tag::{
            A, Abbr, B, Big, Cite, Code, Del, Em, Font, I, Kbd, Label, Nobr, Q, S, Samp, Small,
            Span, Strike, Strong, Sub, Sup, Time, Tt, U, Var,
        };
        matches!(
            self,
            A | Abbr
                | B
                | Big
                | Cite
                | Code
                | Del
                | Em
                | Font
                | I
                | Kbd
                | Label
                | Nobr
                | Q
                | S
                | Samp
                | Small
                | Span
                | Strike
                | Strong
                | Sub
                | Sup
                | Time
                | Tt
                | U
                | Var
        )
    }

    /// End tags outside it do not close what is inside, and the other way round.
    pub(super) const fn is_scope(self) -> bool {
        use Tag::{Applet, Caption, Html, Marquee, Object, Table, Td, Template, Th};
        matches!(self, Applet | Caption | Html | Marquee | Object | Table | Td | Template | Th)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Tag::of("BlockQuote"), Tag::Blockquote);
        assert_eq!(Tag::of("figcaption"), Tag::Figcaption);
        assert_eq!(Tag::of("my-element-of-any-length"), Tag::Other);
        assert_eq!(Tag::of(""), Tag::Other);
    }
}
